//go:build !linux

package main

import "context"

func callerIPQoS(context.Context) string { return "" }
