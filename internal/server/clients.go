package server

import (
	"context"
	"log/slog"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// CheckClients returns what is wrong with the clients of the configuration: config.Faults
// with all of it, or nil.
func CheckClients(cfg config.Config) error {
	return checkClients(cfg, client.New(clientsConfig(cfg)))
}

// clientsConfig is the part of the configuration that clients need, without services.
func clientsConfig(cfg config.Config) client.Config {
	return client.Config{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, Algorithms: clientAlgorithms(cfg), AccessLifetime: accessLife(cfg),
	}
}

func checkClients(cfg config.Config, clients *client.Clients) error {
	return clientFaults(cfg, clients.CheckDeclared(declared(cfg)))
}

// clientFaults are the faults of clients by their place in the list.
func clientFaults(cfg config.Config, wrong map[int][]fault.Field) error {
	var faults config.Faults
	for i, c := range cfg.Clients {
		for _, f := range wrong[i] {
			if f.Name != "client_secret" || !c.SecretRefused { // config.Load has said why
				faults = append(faults, c.Fault(f.Name, f.Message))
			}
		}
	}
	if faults == nil {
		return nil
	}
	return faults
}

func declared(cfg config.Config) []client.Declared {
	all := make([]client.Declared, len(cfg.Clients))
	for i, c := range cfg.Clients {
		all[i] = client.Declared{Settings: c.Settings, Secret: string(c.Secret)}
	}
	return all
}

// DeclareClients makes the clients of the configuration what it says. Clients that it
// does not declare any more stay, which is logged.
func (r *Services) DeclareClients(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	if _, err := r.Clients.Get(ctx, cfg.Auth.Audience); err == nil {
		return config.Faults{{ // RFC 9700 section 4.15
			Key: "auth.audience", Where: cfg.Origins()["auth.audience"], What: "is the client_id of a client: delete that first, or set another audience",
		}}
	}
	released, wrong, err := r.Clients.Declare(ctx, declared(cfg))
	if err == nil {
		err = clientFaults(cfg, wrong) // such as an organization that does not exist
	}
	if err != nil {
		return err
	}
	for _, id := range released {
		log.WarnContext(ctx, "client not declared in the configuration any more; it stays until it is deleted", "client_id", id)
	}
	return nil
}
