package main

import (
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// leftOut are options of OpenSSH that this program does not have and that nobody
// needs to be told about: they are about comfort, about what it never does, or it
// has its own ways for them. The others are worth a word, above all those that
// change where a connection goes or who is let in.
var leftOut = func() map[string]bool {
	m := make(map[string]bool)
	for key := range strings.FieldsSeq(`
		addkeystoagent canonicaldomains canonicalizefallbacklocal canonicalizemaxdots canonicalizepermittedcnames
		channeltimeout checkhostip ciphers clearallforwardings compression connectionattempts controlmaster controlpath
		controlpersist enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash
		forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports gssapiauthentication
		gssapidelegatecredentials gssapikeyexchange gssapiclientidentity gssapirenewalforcesrekey gssapiserveridentity
		gssapitrustdns gssapikexalgorithms hostbasedacceptedalgorithms hostbasedauthentication hostkeyalgorithms
		kexalgorithms loglevel logverbose macs nohostauthenticationforlocalhost obscurekeystroketiming
		permitlocalcommand permitremoteopen pubkeyacceptedalgorithms pubkeyacceptedkeytypes rekeylimit requiredrsasize
		sendenv serveralivecountmax serveraliveinterval setenv stdinnull streamlocalbindmask streamlocalbindunlink
		syslogfacility tcpkeepalive updatehostkeys usekeychain verifyhostkeydns versionaddendum visualhostkey warnweakcrypto
		xauthlocation`) {
		m[key] = true
	}
	return m
}()

// worthAWord reports whether somebody who set an option may wonder why nothing
// comes of it. To switch something off that this program has not is no wonder.
func worthAWord(set sshconfig.Setting) bool {
	off := len(set.Words) == 1 && (strings.EqualFold(set.Words[0], "no") || strings.EqualFold(set.Words[0], "none"))
	return !leftOut[set.Key] && !(off && offIsOurs[set.Key])
}

// offIsOurs are the options that this program has not: switched off, they say
// what it does.
var offIsOurs = map[string]bool{
	"canonicalizehostname": true, "tunnel": true, "forkafterauthentication": true, "pkcs11provider": true,
	"securitykeyprovider": true, "localcommand": true, "revokedhostkeys": true, "knownhostscommand": true,
}
