package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const manifest = "contrib/kubernetes/pico-auth.yaml"

// object is what these tests read of the objects of the example.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Replicas     int
		MinAvailable int `yaml:"minAvailable"`
		Selector     map[string]any
		Template     struct {
			Metadata struct{ Labels map[string]any }
			Spec     pod
		}
		PodSelector map[string]any `yaml:"podSelector"`
		Ports       []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Ingress []struct{ Ports []struct{ Port string } }
	}
}

type pod struct {
	GracePeriod     int            `yaml:"terminationGracePeriodSeconds"`
	ServiceLinks    *bool          `yaml:"enableServiceLinks"`
	SecurityContext map[string]any `yaml:"securityContext"`
	Containers      []podContainer
	Volumes         []struct {
		Secret struct {
			Name string `yaml:"secretName"`
		}
	}
}

type podContainer struct {
	Env       []struct{ Name, Value string }
	Ports     []namedPort
	Startup   probe `yaml:"startupProbe"`
	Liveness  probe `yaml:"livenessProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
	}
	Resources       struct{ Limits struct{ Memory string } }
	SecurityContext map[string]any `yaml:"securityContext"`
	VolumeMounts    []struct {
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type namedPort struct {
	Name          string
	ContainerPort int `yaml:"containerPort"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// objects reads the example, by kind.
func objects(t *testing.T) map[string]object {
	t.Helper()
	found := map[string]object{}
	for decoder := yaml.NewDecoder(bytes.NewReader(read(t, manifest))); ; {
		var next object
		if err := decoder.Decode(&next); err != nil {
			return found
		}
		found[next.Kind] = next
	}
}

func (c podContainer) environment() map[string]string {
	all := map[string]string{}
	for _, variable := range c.Env {
		all[variable.Name] = variable.Value
	}
	return all
}

func (c podContainer) port(name string) int {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

func TestKubernetesObjectsFollowTheSchema(t *testing.T) {
	definitions := map[string]string{
		"ServiceAccount": "core.v1", "Deployment": "apps.v1", "Service": "core.v1", "PodDisruptionBudget": "policy.v1", "NetworkPolicy": "networking.v1",
	}
	check := func(text []byte) (wrong []string) {
		for _, document := range documents(t, text) {
			kind := fmt.Sprint(document.(map[string]any)["kind"])
			compiled := schema(t, "kubernetes-1.37.json#/$defs/io.k8s.api."+definitions[kind]+"."+kind)
			if err := compiled.Validate(document); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
		return wrong
	}
	text := read(t, manifest)
	if wrong := check(text); wrong != nil {
		t.Error(wrong)
	}
	for right, replacement := range map[string]string{"startupProbe": "startProbe", "replicas: 2": "replicas: two", "minAvailable": "minAvail", "kind: Service\n": "kind: NetworkPolicy\n"} {
		if check(bytes.Replace(text, []byte(right), []byte(replacement), 1)) == nil {
			t.Errorf("%s for %s is valid", replacement, right)
		}
	}
	if found := objects(t); len(found) != len(definitions) {
		t.Errorf("%d objects", len(found))
	}
}

func TestKubernetesConfiguresTheServerWithoutWarnings(t *testing.T) {
	dir := t.TempDir()
	makeSecrets(t, dir)
	found := objects(t)
	c := found["Deployment"].Spec.Template.Spec.Containers[0]
	environment := c.environment()
	for variable, value := range environment {
		key, inside := strings.CutPrefix(value, "/run/secrets/pico-auth/")
		if !inside {
			continue
		}
		if !bytes.Contains(read(t, manifest), []byte("--from-literal="+key+"=")) {
			t.Errorf("the file does not say how to make %s", key)
		}
		environment[variable] = filepath.Join(dir, strings.ReplaceAll(key, "-", "_"))
		if err := os.Chmod(environment[variable], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environment["HOME"], environment["SERVER_HOST"] = dir, "::" // of the image
	cfg := load(t, "", environment)
	if got := c.port("http"); got != cfg.Server.Port {
		t.Errorf("the port of the container is %d, of the server %d", got, cfg.Server.Port)
	}
	if got := ":" + strconv.Itoa(c.port("metrics")); got != cfg.Server.MetricsListen {
		t.Errorf("the port of metrics is %s, of the server %s", got, cfg.Server.MetricsListen)
	}
}

func TestKubernetesPodsAreRestricted(t *testing.T) {
	p := objects(t)["Deployment"].Spec.Template.Spec
	c := p.Containers[0]
	for what, got := range map[string]any{
		"runAsNonRoot":             p.SecurityContext["runAsNonRoot"] == true,
		"seccompProfile":           cmp.Equal(p.SecurityContext["seccompProfile"], map[string]any{"type": "RuntimeDefault"}),
		"allowPrivilegeEscalation": c.SecurityContext["allowPrivilegeEscalation"] == false,
		"capabilities":             cmp.Equal(c.SecurityContext["capabilities"], map[string]any{"drop": []any{"ALL"}}),
		"readOnlyRootFilesystem":   c.SecurityContext["readOnlyRootFilesystem"] == true,
		"enableServiceLinks":       p.ServiceLinks != nil && !*p.ServiceLinks,
	} {
		if got != true {
			t.Errorf("%s is not as the restricted profile of the Pod Security Standards, or the server, needs it", what)
		}
	}
	if user := fmt.Sprint(p.SecurityContext["runAsUser"]); !bytes.Contains(read(t, "Containerfile"), []byte("USER "+user+":")) {
		t.Errorf("the user %s is not that of the image", user)
	}
	if !bytes.Contains(read(t, "Containerfile"), []byte("VOLUME "+c.VolumeMounts[1].MountPath+"\n")) {
		t.Errorf("%s is not the volume of the image", c.VolumeMounts[1].MountPath)
	}
}

func TestKubernetesObjectsBelongTogether(t *testing.T) {
	found := objects(t)
	deployment := found["Deployment"].Spec
	c := deployment.Template.Spec.Containers[0]
	labels := deployment.Template.Metadata.Labels
	for what, selector := range map[string]any{
		"Deployment": deployment.Selector["matchLabels"], "Service": found["Service"].Spec.Selector,
		"PodDisruptionBudget": found["PodDisruptionBudget"].Spec.Selector["matchLabels"], "NetworkPolicy": found["NetworkPolicy"].Spec.PodSelector["matchLabels"],
	} {
		if got, _ := selector.(map[string]any); !maps.Equal(got, labels) {
			t.Errorf("%s selects %v, not %v", what, selector, labels)
		}
	}
	if budget := found["PodDisruptionBudget"].Spec.MinAvailable; budget < 1 || budget >= deployment.Replicas {
		t.Errorf("%d of %d replicas must be there: that ends the service or blocks every node", budget, deployment.Replicas)
	}
	if ports := found["Service"].Spec.Ports; len(ports) != 1 || ports[0].TargetPort != "http" {
		t.Errorf("the Service leads to %v, not to the port http alone", ports)
	}
	for _, rule := range found["NetworkPolicy"].Spec.Ingress {
		for _, port := range rule.Ports {
			if c.port(port.Port) == 0 {
				t.Errorf("the policy names the port %s", port.Port)
			}
		}
	}
	const drain = 10 // docs/operations.md
	if stop := c.Lifecycle.PreStop.Sleep.Seconds; stop == 0 || deployment.Template.Spec.GracePeriod < stop+drain+5 {
		t.Errorf("%d s end the Pod, of which %d pass before the drain", deployment.Template.Spec.GracePeriod, stop)
	}
	soft, hard := mebibytes(t, c.environment()["GOMEMLIMIT"]), mebibytes(t, c.Resources.Limits.Memory)
	if soft*5 > hard*4 {
		t.Errorf("GOMEMLIMIT is %d MiB of %d", soft, hard)
	}
}

func mebibytes(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(regexp.MustCompile(`^(\d+)Mi(?:B)?$`).ReplaceAllString(text, "$1"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
