package dscpvet

// escape reports marks on connections of package dscp through File or the
// embedded connection. Neither is guarded: the mark of the live flow changes,
// and only Verify reports it.
func (p *program) escape() {
	for _, m := range p.marks {
		for _, o := range m.origins {
			if o.kind == fromEscape || o.proto&(guarded|file) == guarded|file {
				p.report(m.at(), m.sets()+" changes the mark of a connection of package dscp through File or the embedded connection, which are not guarded; set DSCP in dscp.Dialer or dscp.ListenConfig, and make another connection for another mark")
				break
			}
		}
	}
}
