package dscp

import "strconv"

// A UserPriority is the priority of a frame in IEEE 802.11, 0 to 7, as in
// IEEE 802.1D: 1 and 2 rank below 0.
type UserPriority uint8

// An AccessCategory is one of the four queues that Wi-Fi stations contend for
// the air with (RFC 8325, section 6). The zero value is best effort.
type AccessCategory uint8

// The access categories, numbered as in IEEE 802.11.
const (
	BestEffort AccessCategory = iota // AC_BE
	Background                       // AC_BK, the last to get the air
	Video                            // AC_VI
	Voice                            // AC_VO, the first
)

func (a AccessCategory) String() string {
	switch a {
	case BestEffort:
		return "AC_BE"
	case Background:
		return "AC_BK"
	case Video:
		return "AC_VI"
	case Voice:
		return "AC_VO"
	}
	return "AccessCategory(" + strconv.Itoa(int(a)) + ")"
}

// AccessCategory returns the queue of a priority (RFC 8325, section 6.2). Of a
// value above 7 only the lower three bits count.
func (up UserPriority) AccessCategory() AccessCategory {
	switch up & 7 {
	case 1, 2:
		return Background
	case 4, 5:
		return Video
	case 6, 7:
		return Voice
	}
	return BestEffort
}

// UserPriority returns the priority that RFC 8325 (section 4.3, figure 1)
// recommends for packets marked c, with the updates of RFC 8622 for [LE] and of
// RFC 9956 (section 7.3.2) for [NQB]:
//
//	CS6, CS7                     7  AC_VO
//	EF, VOICE-ADMIT              6  AC_VO
//	CS5                          5  AC_VI
//	AF4x, CS4, AF3x, CS3         4  AC_VI
//	AF2x                         3  AC_BE
//	DF, CS2, AF1x, NQB, unnamed  0  AC_BE
//	CS1, LE                      1  AC_BK
//
// So AF21, which OpenSSH 7.8 to 10.0 marks sessions with, is best effort, and CS1 is
// less than that. Access points that have no use for network control traffic
// should take CS6 and CS7 as 0 (section 8). Those that cannot give NQB a queue of
// its own should take it as 5.
//
// Equipment that does not follow RFC 8325 mostly takes the upper three bits of
// the mark for the priority (section 2.3), so UserPriority(c.Precedence()):
// there AF21 is 2, in the background, and EF is 5, video. Recent Linux stations
// do as RFC 8325 says for the named code points other than LE and NQB, and take
// the upper three bits of the others; older ones do that for all
// (cfg80211_classify8021d).
func (c CodePoint) UserPriority() UserPriority {
	switch c {
	case CS6, CS7:
		return 7
	case EF, VoiceAdmit:
		return 6
	case CS5:
		return 5
	case AF41, AF42, AF43, CS4, AF31, AF32, AF33, CS3:
		return 4
	case AF21, AF22, AF23:
		return 3
	case CS1, LE:
		return 1
	}
	return 0
}

// AccessCategory returns the Wi-Fi queue in which RFC 8325 puts packets marked c:
// that of [CodePoint.UserPriority], which see for equipment that does not follow
// it.
func (c CodePoint) AccessCategory() AccessCategory {
	return c.UserPriority().AccessCategory()
}
