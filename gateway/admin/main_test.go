package admin

import (
	"os"
	"testing"

	"gatepost/test/harness/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Around(m)) }
