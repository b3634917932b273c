//go:build unix

package doctest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// errNo is the error for a name that does not exist.
func errNo(kind, name string) error { return fmt.Errorf("there is no %s: %s", kind, name) }

// run runs a program and adds its output to the error.
func run(dir string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, output)
	}
	return nil
}

// checkApplication checks that an application reads the variables that its line sets, and
// that the server knows its client.
func checkApplication(folder string) error {
	source, err := sourceOf(folder)
	if err != nil {
		return err
	}
	for _, name := range []string{"CLIENT_ID", "CLIENT_SECRET", "AUDIENCE"} {
		if os.Getenv(name) != "" && !bytes.Contains(source, []byte(name)) {
			return fmt.Errorf("%s does not read %s", folder, name)
		}
	}
	if id := os.Getenv("CLIENT_ID"); id != "" {
		return run(os.Getenv("CHECKOUT"), program(), "client", "show", id)
	}
	return nil
}

// sourceOf is the text of the files of a folder.
func sourceOf(folder string) ([]byte, error) {
	var all []byte
	for _, pattern := range []string{"*", "src/main/*/*", "src/main/*/*/*"} {
		names, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			all = append(all, text...)
		}
	}
	return all, nil
}

// checkClone checks that the address is that of the module, and leaves the checkout.
func checkClone(args []string) error {
	if len(args) != 2 || args[0] != "clone" {
		return fmt.Errorf("git %s has no stand-in", strings.Join(args, " "))
	}
	address, found := strings.CutPrefix(args[1], "https://")
	if !found {
		return fmt.Errorf("%s is no address with https", args[1])
	}
	if err := checkModule(address); err != nil {
		return err
	}
	return os.Symlink(".", filepath.Base(address))
}

// checkModule checks the path of the module.
func checkModule(path string) error {
	mod, err := os.ReadFile(inCheckout("go.mod"))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(mod), "module "+path+"\n") {
		return fmt.Errorf("%s is not the module of go.mod", path)
	}
	return nil
}

// runGo builds and starts an application, as go run does. Where its modules are missing,
// and need not be there, it is checked only.
func runGo(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "install":
		path := strings.TrimPrefix(strings.TrimSuffix(args[1], "@latest"), "github.com/pico-auth/pico-auth/")
		_, err := os.Stat(filepath.Join(os.Getenv("REPOSITORY"), path, "main.go"))
		return err
	case args[0] == "test":
		return checkTests(args[1:])
	case len(args) != 2 || args[0] != "run":
		return errNo("stand-in for go", strings.Join(args, " "))
	}
	sources, err := filepath.Glob(filepath.Join(args[1], "*.go"))
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("no Go program in %s", args[1])
	}
	if err := checkApplication(args[1]); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", inState("program"), args[1])
	if os.Getenv("REQUIRE_DOCUMENTS") != "1" {
		build.Env = append(os.Environ(), "GOPROXY=off")
	}
	if output, err := build.CombinedOutput(); bytes.Contains(output, []byte("GOPROXY=off")) {
		fmt.Println("NOT RUN: modules are missing:", args[1])
		return nil
	} else if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", args[1], err, output)
	}
	return goOn("application", func(output []byte) bool {
		return bytes.Contains(output, []byte("Sign in at http://")) || responds("http://localhost:"+os.Getenv("PORT")+"/")
	}, inState("program"))
}

func checkNPM(args []string) error {
	text, err := os.ReadFile("package.json")
	if err != nil {
		return err
	}
	var described struct {
		Scripts map[string]string `json:"scripts"`
	}
	if err := json.Unmarshal(text, &described); err != nil {
		return err
	}
	switch {
	case slices.Equal(args, []string{"install"}), slices.Equal(args, []string{"ci"}):
		return nil
	case len(args) == 1 && described.Scripts[args[0]] != "":
		return checkApplication(".")
	}
	return fmt.Errorf("package.json has no script for npm %s", strings.Join(args, " "))
}

func checkPip(args []string) error {
	if len(args) != 3 || args[0] != "install" || args[1] != "-r" {
		return fmt.Errorf("pip %s has no stand-in", strings.Join(args, " "))
	}
	_, err := os.Stat(args[2])
	return err
}

func checkPython(args []string) error {
	if _, err := os.Stat(args[0]); err != nil {
		return err
	}
	return checkApplication(".")
}

func checkMaven([]string) error {
	if _, err := os.Stat("pom.xml"); err != nil {
		return err
	}
	return checkApplication(".")
}

// checkScript checks a script of the repository that its line would run.
func checkScript(file string) func([]string) error {
	return func([]string) error {
		script := filepath.Join(os.Getenv("REPOSITORY"), file)
		if err := run("", "bash", "-n", script); err != nil {
			return err
		}
		return checkApplication(filepath.Dir(script))
	}
}

// runDevice runs the script until it waits for the user.
func runDevice([]string) error {
	if err := checkScript(deviceScript)(nil); err != nil {
		return err
	}
	cmd := exec.Command("bash", filepath.Join(os.Getenv("REPOSITORY"), deviceScript))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line := make([]byte, 200)
	n, _ := stdout.Read(line) // nothing if the script has failed
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !bytes.HasPrefix(line[:n], []byte("Open http://localhost:")) || !bytes.Contains(line[:n], []byte(" and enter the code ")) {
		return fmt.Errorf("the script printed %q", line[:n])
	}
	return nil
}

// runContained runs the command of a container in the folder data, which stands for the
// volume; a server is not started, its configuration is checked.
func runContained(args []string) error {
	if args[0] == "compose" {
		return checkCompose(args[1:])
	}
	words := args[1:]
	env := append(os.Environ(), "HOME="+inCheckout("data"))
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		option := words[0]
		words = words[1:]
		if slices.Contains([]string{"--rm", "-d", "-i", "-t", "-it", "--init", "--read-only"}, option) {
			continue
		}
		if !slices.Contains([]string{"-v", "-p", "-e", "--name", "--env", "--volume", "--publish"}, option) || len(words) == 0 {
			return fmt.Errorf("unknown option %s", option)
		}
		if option == "-e" || option == "--env" {
			name, _, _ := strings.Cut(words[0], "=")
			if err := checkVariable(name); err != nil {
				return err
			}
			env = append(env, words[0])
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return fmt.Errorf("docker %s names no container or image", args[0])
	}
	words = words[1:]
	switch {
	case args[0] == "exec" && len(words) > 0 && words[0] == "/pico-auth":
		words = words[1:]
	case args[0] != "run":
		return errNo("stand-in for docker", args[0])
	}
	if len(words) == 0 || words[0] == "serve" {
		words = []string{"config", "check"}
	}
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, "/data/", inCheckout("data")+"/")
	}
	cmd := exec.Command(program(), words...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = inCheckout("data"), env, os.Stdout, os.Stderr
	return cmd.Run()
}

// checkVariable checks that the reference of the configuration has a variable.
func checkVariable(name string) error {
	reference, err := os.ReadFile(filepath.Join(os.Getenv("REPOSITORY"), "docs/configuration.md"))
	if err != nil {
		return err
	}
	if !bytes.Contains(reference, []byte("`"+name+"`")) && name != "GOMEMLIMIT" {
		return fmt.Errorf("%s is the variable of no setting", name)
	}
	return nil
}
