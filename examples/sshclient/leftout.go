package main

import (
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// leftOut are the options of OpenSSH that this program ignores without a warning: they
// do not change where a connection goes or whom it trusts. With -v it lists them. It
// warns about other options that it does not support.
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

// needsWarning reports whether the program must warn that it ignores an option. It
// need not if the option switches off something that the program does not have.
func needsWarning(set sshconfig.Setting) bool {
	off := len(set.Words) == 1 && (strings.EqualFold(set.Words[0], "no") || strings.EqualFold(set.Words[0], "none"))
	return !leftOut[set.Key] && !(off && offIsOurs[set.Key])
}

// offIsOurs are options of features that this program does not have. Set to no or none
// they describe what it does.
var offIsOurs = map[string]bool{
	"canonicalizehostname": true, "tunnel": true, "forkafterauthentication": true, "pkcs11provider": true,
	"securitykeyprovider": true, "localcommand": true, "revokedhostkeys": true, "knownhostscommand": true,
}
