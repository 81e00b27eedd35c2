// Package tests has a test that marks.
package tests
