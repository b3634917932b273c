package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// minClientSecret is the least length of a client secret that an operator chooses, in
// characters.
const minClientSecret = 32

// Client is an entry of the list clients. What its fields may hold is checked by the
// package client.
type Client struct {
	Settings oauth.Settings // by the names of the API, client_id among them
	Secret   Secret         // read from its file; empty: none

	// SecretRefused says that a fault of Load is about the secret.
	SecretRefused bool

	where map[string]string // file and line by field; of the entry: ""
}

// Fault is what is wrong with a field of the client.
func (c Client) Fault(field, what string) Fault {
	where, found := c.where[field]
	if !found {
		where = c.where[""]
	}
	id, _ := c.Settings["client_id"].(string)
	return Fault{Key: strings.TrimSpace("clients " + id), Where: where, What: what}
}

// suspectClients warns about clients whose tokens without a user carry a role, or act with
// it, that the configuration does not say. Until v0.4.0 it was superadmin.
func (l *loader) suspectClients() {
	for _, declared := range l.config.Clients {
		c, _ := oauth.NewClient(declared.Settings)
		if c.Role != "" || !c.Allows(oauth.GrantClientCredentials) {
			continue
		}
		if slices.Contains(c.Scopes, oauth.ScopeAdmin) || slices.Contains(c.Scopes, oauth.ScopeRoles) || slices.Contains(c.Audiences, l.config.Auth.Audience) {
			l.warnings = append(l.warnings, declared.Fault("", "has no role, so its tokens without a user have viewer, up to v0.4.0 superadmin: "+
				"set role: viewer if that is enough, otherwise the weakest of operator, org_admin and superadmin that is").String())
		}
	}
}

// clients reads the list clients.
func (y yamlReader) clients(name, content *yaml.Node) {
	list := resolve(content)
	if isNull(list) {
		return
	}
	if list.Kind != yaml.SequenceNode {
		y.fault("clients", place(y.file, name), "must be a list, each client after a hyphen")
		return
	}
	for _, entry := range list.Content {
		c := Client{Settings: oauth.Settings{}, where: map[string]string{"": place(y.file, entry)}}
		for key, n := range y.pairs("clients", entry) {
			c.where[key.Value] = place(y.file, key)
			if v, ok := y.any("clients", n); ok {
				c.Settings[key.Value] = v
			}
		}
		y.readClientSecret(&c)
		y.config.Clients = append(y.config.Clients, c)
	}
}

// any reads a value of any type. Its scalars have the types of YAML.
func (y yamlReader) any(full string, n *yaml.Node) (any, bool) {
	n = resolve(n)
	switch n.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, entry := range n.Content {
			v, ok := y.any(full, entry)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case yaml.MappingNode:
		fields := map[string]any{}
		for key, entry := range y.pairs(full, n) {
			v, ok := y.any(full, entry)
			if !ok {
				return nil, false
			}
			fields[key.Value] = v
		}
		return fields, true
	default:
		return y.typed(full, n)
	}
}

func (y yamlReader) typed(full string, n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int":
		if i, err := strconv.Atoi(n.Value); err == nil {
			return i, true
		}
		return n.Value, true
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return f, true
		}
		return n.Value, true
	}
	if !ordinaryTag(n) {
		y.fault(full, place(y.file, n), "has a YAML tag that is not supported")
		return nil, false
	}
	text, problem := y.interpolate(n.Value)
	if problem != "" {
		y.fault(full, place(y.file, n), problem)
		return nil, false
	}
	return text, true
}

// readClientSecret reads the secret from the file that client_secret names. One line end
// at the end of the file is not part of it.
func (y yamlReader) readClientSecret(c *Client) {
	given, found := c.Settings["client_secret"]
	if !found {
		return
	}
	delete(c.Settings, "client_secret")
	fail := func(what string) {
		c.SecretRefused = true
		y.faults = append(y.faults, c.Fault("client_secret", what))
	}
	text, _ := given.(string)
	path, inFile := strings.CutPrefix(text, filePrefix)
	if !inFile || path == "" {
		fail("client_secret must be file:PATH of a file that holds the secret")
		return
	}
	secret, err := readSmall(path, maxSecretFile)
	if err != nil {
		fail("client_secret cannot be read: " + err.Error())
		return
	}
	secret = strings.TrimSuffix(strings.TrimSuffix(secret, "\n"), "\r")
	switch stray := StrayCharacter(secret); {
	case stray != "":
		fail("client_secret names the file " + path + ", which must not contain " + stray)
	case !utf8.ValidString(secret) || utf8.RuneCountInString(secret) < minClientSecret:
		fail("client_secret names the file " + path + ", which must hold at least 32 characters of UTF-8")
	default:
		c.Secret = Secret(secret)
	}
}
