// Command grpc guards a gRPC service: interceptors verify the token in the
// metadata and put the user into the context of the call.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pico-auth/pico-auth/picoauth"
)

func main() {
	guard, err := picoauth.New(picoauth.Config{Issuer: os.Getenv("AUTH_ISSUER"), Audience: os.Getenv("AUTH_AUDIENCE")})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "localhost:8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(newServer(guard).Serve(listener))
}

// roles says which role a method needs. A method that is not listed needs
// Superadmin, so that a forgotten entry grants nothing.
var roles = map[string]picoauth.Role{
	grpc_health_v1.Health_Check_FullMethodName: picoauth.Viewer,
	grpc_health_v1.Health_Watch_FullMethodName: picoauth.Operator,
}

func newServer(guard *picoauth.Guard) *grpc.Server {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, err := authorize(ctx, guard, info.FullMethod)
			if err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx, err := authorize(stream.Context(), guard, info.FullMethod)
			if err != nil {
				return err
			}
			return next(srv, guarded{stream, ctx})
		}),
	)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer()) // your service
	return server
}

// authorize returns a context with the user, which picoauth.FromContext finds.
func authorize(ctx context.Context, guard *picoauth.Guard, method string) (context.Context, error) {
	who, err := guard.Verify(ctx, bearer(ctx))
	if err != nil {
		return nil, refusal(err)
	}
	least, listed := roles[method]
	if !listed {
		least = picoauth.Superadmin
	}
	if who.Role < least {
		return nil, status.Error(codes.PermissionDenied, "this needs at least the role "+least.String())
	}
	return picoauth.NewContext(ctx, who), nil
}

// bearer returns the token of a call, empty when there is none or several.
func bearer(ctx context.Context) string {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

func refusal(err error) error {
	var refused *picoauth.Refusal
	if !errors.As(err, &refused) {
		return status.Error(codes.Internal, "the call could not be served")
	}
	code := codes.Unauthenticated
	if refused.Status == http.StatusServiceUnavailable {
		code = codes.Unavailable
	}
	return status.Error(code, refused.Detail)
}

// guarded is a stream with another context.
type guarded struct {
	grpc.ServerStream
	ctx context.Context
}

func (g guarded) Context() context.Context { return g.ctx }
