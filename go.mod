module github.com/godscp/godscp

go 1.26.0
