// Measures firmware with Google's own verifier, so that assay.reference can be compared with it:
// "mrtd FILE" prints MRTD, "snp FILE VCPUS" the SEV-SNP launch digest as Google's hypervisor makes it.
package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/google/gce-tcb-verifier/sev"
	"github.com/google/gce-tcb-verifier/tdx"
)

func measure(arguments []string) ([]byte, error) {
	if len(arguments) < 2 {
		return nil, fmt.Errorf("usage: mrtd FILE | snp FILE VCPUS")
	}
	firmware, err := os.ReadFile(arguments[1])
	if err != nil {
		return nil, err
	}
	if arguments[0] == "mrtd" {
		digest, err := tdx.MRTD(tdx.LaunchOptionsDefault(""), firmware)
		return digest[:], err
	}
	options := sev.LaunchOptionsDefault()
	if options.Vcpus, err = strconv.Atoi(arguments[2]); err != nil {
		return nil, err
	}
	return sev.LaunchDigest(options, firmware)
}

func main() {
	digest, err := measure(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(hex.EncodeToString(digest))
}
