package trial_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/trial"
)

// TestLinuxLacksNothing holds that no trial skips a test on Linux's own kernel, which
// is known by its sock_diag.
func TestLinuxLacksNothing(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		t.Skipf("this is not Linux's own kernel: %v", err)
	}
	assert.NoError(t, unix.Close(fd))
	for name, try := range map[string]func() error{
		"UDP": trial.UDP, "Unix": trial.Unix, "Inherited": trial.Inherited, "SavedSYN": trial.SavedSYN,
		"SeparateOptions": trial.SeparateOptions, "Messages": trial.Messages,
		"Priority": trial.Priority, "Segmentation": trial.Segmentation, "MinTTL": trial.MinTTL, "Copy": trial.Copy,
	} {
		assert.NoError(t, try(), name)
	}
}
