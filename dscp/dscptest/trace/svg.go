package trace

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// Measures of the picture, in pixels.
const (
	svgWidth  = 820
	clientX   = 150
	boxX      = 450
	serverX   = 750
	topY      = 92
	rowHeight = 34
	maxRows   = 40 // with more packets, those in the middle are left out
)

// lossColour is the colour of resets, drops and notes.
const lossColour = "#d00000"

// WriteSVG draws one flow as a sequence diagram: the client, the box and the server
// side by side, time downwards, and an arrow for each packet, coloured by its mark.
// The arrow of a packet that the box did not forward ends at the box. A reset is red.
func WriteSVG(w io.Writer, f dscptest.Flow) error {
	rows := rowsOf(packets(f))
	height := topY + rowHeight*(len(rows)+1) + 24
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", svgWidth, height)
	text(&b, 16, 26, "start", "#111111", `font-size="15" font-weight="bold"`, fmt.Sprintf("Flow %d (%s): %v", f.ID, f.Network, f.Verdict))
	text(&b, 16, 46, "start", "#444444", "", f.Reason)
	for _, l := range [...]struct {
		x    int
		name string
	}{
		{clientX, "client " + f.Client.String()}, {boxX, "box"}, {serverX, "server " + f.Upstream.String()},
	} {
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#bbbbbb"/>`+"\n", l.x, topY-12, l.x, height-16)
		text(&b, l.x, topY-20, "middle", "#111111", `font-size="12"`, l.name)
	}
	for i, r := range rows {
		y := topY + rowHeight*(i+1)
		if r.skipped > 0 {
			text(&b, boxX, y-6, "middle", "#777777", "", fmt.Sprintf("… %d more …", r.skipped))
			continue
		}
		text(&b, 10, y+4, "start", "#777777", `font-size="11"`, fmt.Sprintf("%.3f ms", float64(r.at.Sub(f.Start).Microseconds())/1000))
		drawPacket(&b, r.packet, y)
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// A row is a packet, or says how many are not drawn.
type row struct {
	packet
	skipped int
}

// rowsOf returns a row for each packet. If there are too many, it leaves those in the
// middle out.
func rowsOf(ps []packet) []row {
	var rows []row
	for i, p := range ps {
		tail := len(ps) - maxRows/2
		if len(ps) > maxRows && i >= maxRows/2 && i < tail {
			if i == maxRows/2 {
				rows = append(rows, row{skipped: tail - i})
			}
			continue
		}
		rows = append(rows, row{packet: p})
	}
	return rows
}

// drawPacket draws one arrow with its label, and what the box did.
func drawPacket(b *bytes.Buffer, p packet, y int) {
	from, to := clientX, serverX
	if p.direction == dscptest.ServerToClient {
		from, to = serverX, clientX
	}
	colour, label := colourOf(p.mark), fmt.Sprintf("%v %v", p.kind, p.mark)
	if s := p.span(); s != "" {
		label = fmt.Sprintf("%v %s, %v", p.kind, s, p.mark)
	}
	switch {
	case p.byBox:
		from, colour, label = boxX, lossColour, p.kind.String()
	case p.lost:
		to = boxX
	}
	arrow(b, from, to, y, colour)
	labelX := (from + to) / 2
	if from != boxX && to != boxX {
		labelX = (clientX + boxX) / 2 // beside the box's line, not on it
		if p.direction == dscptest.ServerToClient {
			labelX = (boxX + serverX) / 2
		}
	}
	text(b, labelX, y-5, "middle", colour, "", label)
	if p.lost {
		cross(b, boxX, y)
	}
	if p.note != "" && !p.byBox {
		noteX := (boxX + serverX) / 2
		if p.direction == dscptest.ServerToClient {
			noteX = (clientX + boxX) / 2
		}
		text(b, noteX, y-5, "middle", lossColour, `font-size="12"`, p.note)
	}
}

func arrow(b *bytes.Buffer, from, to, y int, colour string) {
	const head = 9
	tip := to - head
	if to < from {
		tip = to + head
	}
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2"/>`+"\n", from, y, tip, y, colour)
	fmt.Fprintf(b, `<path d="M%d %d L%d %d L%d %d Z" fill="%s"/>`+"\n", to, y, tip, y-5, tip, y+5, colour)
}

// cross marks a packet that was not forwarded.
func cross(b *bytes.Buffer, x, y int) {
	const arm = 7
	fmt.Fprintf(b, `<path d="M%d %d L%d %d M%d %d L%d %d" stroke="%s" stroke-width="3"/>`+"\n",
		x-arm, y-arm, x+arm, y+arm, x-arm, y+arm, x+arm, y-arm, lossColour)
}

func text(b *bytes.Buffer, x, y int, anchor, colour, more, s string) {
	if s == "" {
		return
	}
	if more != "" {
		more = " " + more
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s"%s>`, x, y, anchor, colour, more)
	xml.EscapeText(b, []byte(s)) // also replaces what XML must not contain
	b.WriteString("</text>\n")
}

// colourOf returns the colour of a code point. Neighbours differ much. DF is grey, and
// none is red, which is lossColour.
func colourOf(cp dscp.CodePoint) string {
	if cp == dscp.DF {
		return "#555555"
	}
	// Hues from yellow to violet. The step shares no factor with the span, and
	// AF21, CS1, EF and lowdelay are blue, green, olive and violet.
	const lowest, span, start, step = 40, 290, 102, 181
	return fmt.Sprintf("hsl(%d, 75%%, 36%%)", lowest+(start+int(cp)*step)%span)
}
