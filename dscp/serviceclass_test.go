package dscp

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestServiceClass(t *testing.T) {
	t.Parallel()
	figure := []struct {
		class ServiceClass
		name  string
		cps   []CodePoint
	}{
		{NetworkControl, "Network Control", []CodePoint{CS6}},
		{Telephony, "Telephony", []CodePoint{EF}},
		{Signaling, "Signaling", []CodePoint{CS5}},
		{MultimediaConferencing, "Multimedia Conferencing", []CodePoint{AF41, AF42, AF43}},
		{RealTimeInteractive, "Real-Time Interactive", []CodePoint{CS4}},
		{MultimediaStreaming, "Multimedia Streaming", []CodePoint{AF31, AF32, AF33}},
		{BroadcastVideo, "Broadcast Video", []CodePoint{CS3}},
		{LowLatencyData, "Low-Latency Data", []CodePoint{AF21, AF22, AF23}},
		{OAM, "OAM", []CodePoint{CS2}},
		{HighThroughputData, "High-Throughput Data", []CodePoint{AF11, AF12, AF13}},
		{Standard, "Standard", []CodePoint{DF}},
		{LowPriorityData, "Low-Priority Data", []CodePoint{LE, CS1}},
	}
	of := map[CodePoint]ServiceClass{}
	for _, row := range figure {
		assert.Equal(t, row.name, row.class.String())
		assert.Equal(t, row.cps[0], row.class.CodePoint())
		for _, cp := range row.cps {
			of[cp] = row.class
		}
	}
	for cp := range CodePoint(64) {
		want, named := of[cp]
		got, ok := cp.ServiceClass()
		assert.Equal(t, named, ok, "%v", cp)
		assert.Equal(t, want, got, "%v", cp)
	}
	var zero ServiceClass
	assert.Equal(t, Standard, zero)
	assert.Equal(t, DF, ServiceClass(99).CodePoint())
	assert.Equal(t, "ServiceClass(99)", ServiceClass(99).String())
	assert.Len(t, serviceClasses, len(figure))
}
