package main

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

func TestCalls(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t)
	client := dial(t, issuer)
	viewer := issuer.Mint(picoauthtest.Claims{"role": picoauth.Viewer})
	superadmin := issuer.Mint(picoauthtest.Claims{"role": picoauth.Superadmin})
	check := func(ctx context.Context) error {
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	list := func(ctx context.Context) error {
		_, err := client.List(ctx, &grpc_health_v1.HealthListRequest{})
		return err
	}
	watch := func(ctx context.Context) error {
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	for name, c := range map[string]struct {
		call  func(context.Context) error
		token string
		want  codes.Code
	}{
		"no token":                    {check, "", codes.Unauthenticated},
		"bad token":                   {check, "x", codes.Unauthenticated},
		"viewer":                      {check, viewer, codes.OK},
		"stream, weaker role":         {watch, viewer, codes.PermissionDenied},
		"stream, stronger role":       {watch, superadmin, codes.OK},
		"stream, no token":            {watch, "", codes.Unauthenticated},
		"unlisted method":             {list, viewer, codes.PermissionDenied},
		"unlisted method, superadmin": {list, superadmin, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if c.token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
			}
			if err := c.call(ctx); status.Code(err) != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	issuer.SetDown(true)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+viewer)
	_, err := dial(t, issuer).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("without a key set: %v", err)
	}
}

// dial starts a guarded server and returns a client of it.
func dial(t *testing.T, issuer *picoauthtest.Issuer) grpc_health_v1.HealthClient {
	t.Helper()
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(guard)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}
