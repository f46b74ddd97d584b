package integration_test

import (
	"testing"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
