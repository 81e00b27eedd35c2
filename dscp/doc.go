package dscp
