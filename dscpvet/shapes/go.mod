module github.com/godscp/godscp/dscpvet/shapes

go 1.26.0

require (
	github.com/godscp/godscp v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	golang.org/x/net v0.57.0
	golang.org/x/sys v0.47.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/godscp/godscp => ../../
