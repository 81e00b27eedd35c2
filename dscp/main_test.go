package dscp_test

import (
	"flag"
	"os"
	"testing"

	"github.com/godscp/godscp/internal/trial"
)

func TestMain(m *testing.M) {
	flag.Parse()
	trial.NeedExamples(trial.Inherited, "ExampleListenConfig", "ExampleListenConfig_Wrap", "ExampleListener_AcceptConn")
	trial.NeedExamples(trial.SavedSYN, "ExampleConn_PeerDSCP")
	trial.NeedExamples(trial.MinTTL, "ExampleListenConfig_reflect")
	trial.NeedExamples(trial.Messages, "ExampleUDPConn_WriteMarked")
	os.Exit(m.Run())
}
