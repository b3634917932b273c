package main

import (
	"testing"

	"github.com/pico-auth/pico-auth/picoauth/examples/internal/check"
)

func TestRoutes(t *testing.T) { check.Routes(t, routes) }
