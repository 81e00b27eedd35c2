package dscp

import "strconv"

// A ServiceClass is a kind of traffic as RFC 4594 sorts it, for those who know
// what they send rather than how it is marked:
//
//	d := dscp.Dialer{DSCP: dscp.LowLatencyData.CodePoint()}
//
// The zero value is [Standard].
type ServiceClass uint8

// The service classes of RFC 4594, figure 3 (section 2.3), with their marks. RFC
// 8622 has since given low-priority data the mark LE instead of CS1.
const (
	Standard               ServiceClass = iota // DF: all that has no class of its own
	LowPriorityData                            // LE, was CS1: what may wait for idle capacity
	HighThroughputData                         // AF11 to AF13: store and forward, long transfers
	OAM                                        // CS2: operations, administration and management
	LowLatencyData                             // AF21 to AF23: client and server transactions, shells
	BroadcastVideo                             // CS3: television, surveillance
	MultimediaStreaming                        // AF31 to AF33: buffered video and audio
	RealTimeInteractive                        // CS4: games, inelastic conferences
	MultimediaConferencing                     // AF41 to AF43: conferences that adapt their rate
	Signaling                                  // CS5: of telephony and video
	Telephony                                  // EF: voice
	NetworkControl                             // CS6: routing, not for applications
)

var serviceClasses = [...]struct {
	name string
	cps  []CodePoint
}{
	Standard:               {"Standard", []CodePoint{DF}},
	LowPriorityData:        {"Low-Priority Data", []CodePoint{LE, CS1}},
	HighThroughputData:     {"High-Throughput Data", []CodePoint{AF11, AF12, AF13}},
	OAM:                    {"OAM", []CodePoint{CS2}},
	LowLatencyData:         {"Low-Latency Data", []CodePoint{AF21, AF22, AF23}},
	BroadcastVideo:         {"Broadcast Video", []CodePoint{CS3}},
	MultimediaStreaming:    {"Multimedia Streaming", []CodePoint{AF31, AF32, AF33}},
	RealTimeInteractive:    {"Real-Time Interactive", []CodePoint{CS4}},
	MultimediaConferencing: {"Multimedia Conferencing", []CodePoint{AF41, AF42, AF43}},
	Signaling:              {"Signaling", []CodePoint{CS5}},
	Telephony:              {"Telephony", []CodePoint{EF}},
	NetworkControl:         {"Network Control", []CodePoint{CS6}},
}

// String returns the name of s in RFC 4594, "Low-Latency Data".
func (s ServiceClass) String() string {
	if int(s) < len(serviceClasses) {
		return serviceClasses[s].name
	}
	return "ServiceClass(" + strconv.Itoa(int(s)) + ")"
}

// CodePoint returns the mark of s. Of the three that the Assured Forwarding
// classes have, which differ in drop precedence, it is the one that is dropped
// last: a flow keeps one mark, and routers may demote it. For a value that is no
// class it is [DF].
func (s ServiceClass) CodePoint() CodePoint {
	if int(s) < len(serviceClasses) {
		return serviceClasses[s].cps[0]
	}
	return DF
}

// ServiceClass returns the class that c is a mark of. It reports false for the
// code points that RFC 4594 gives to none: CS7, VOICE-ADMIT, NQB, the legacy
// values and those without a name.
func (c CodePoint) ServiceClass() (s ServiceClass, ok bool) {
	for s, class := range serviceClasses {
		for _, cp := range class.cps {
			if cp == c {
				return ServiceClass(s), true
			}
		}
	}
	return Standard, false
}
