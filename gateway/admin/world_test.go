package admin_test

import (
	"os"
	"testing"
	"time"

	"gatepost/gateway/admin"
	"gatepost/test/harness/postgres"
	"gatepost/test/harness/rooms"
)

// TestMain gives the tests of this package the world that the browser's tests have.
func TestMain(m *testing.M) {
	admin.Furnish(func(now time.Time) admin.World { return rooms.Furnished(now) })
	os.Exit(postgres.Around(m))
}
