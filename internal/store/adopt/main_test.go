package adopt_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
