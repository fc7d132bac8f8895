// Command go-tee verifies TDX quotes and SEV-SNP reports with nothing of Assay's: Google's go-tdx-guest and
// go-sev-guest check the signatures and the chains up to the vendor's root. It reads one JSON object a line and
// answers each with "accepted" or "refused: why"; with -repeat it prints the processor time of one verification, in
// nanoseconds, instead.
//
//	go run . < evidence.jsonl
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	snp "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
	tdx "github.com/google/go-tdx-guest/verify"
)

const longestLine = 1 << 20

// item is one piece of evidence; bytes are base64. Without Root the vendor's own roots count.
type item struct {
	Kind     string `json:"kind"`     // "tdx" or "snp"
	Evidence []byte `json:"evidence"` // a quote, or a report of 1184 bytes
	At       int64  `json:"at"`       // seconds since 1970
	Root     []byte `json:"root"`     // DER
	VEK      []byte `json:"vek"`      // DER: VCEK or VLEK
	Issuer   []byte `json:"issuer"`   // DER: ASK or ASVK
	Product  string `json:"product"`  // "Milan"
}

func main() {
	repeat := flag.Int("repeat", 0, "verify each so many times and print nanoseconds of processor time for one")
	flag.Parse()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var each item
		if err := json.Unmarshal(lines.Bytes(), &each); err != nil {
			fmt.Fprintln(os.Stderr, "unreadable line:", err)
			os.Exit(2)
		}
		fmt.Println(answer(&each, *repeat))
	}
}

func answer(each *item, repeat int) string {
	before := spent()
	for range max(1, repeat) {
		if err := verify(each); err != nil {
			return "refused: " + strings.Join(strings.Fields(err.Error()), " ")
		}
	}
	if repeat > 0 {
		return fmt.Sprint((spent() - before).Nanoseconds() / int64(repeat))
	}
	return "accepted"
}

func verify(each *item) error {
	if each.Kind == "tdx" {
		return verifyQuote(each)
	}
	return verifyReport(each)
}

func verifyQuote(each *item) error {
	options := &tdx.Options{Now: time.Unix(each.At, 0)}
	if len(each.Root) > 0 {
		root, err := x509.ParseCertificate(each.Root)
		if err != nil {
			return err
		}
		options.TrustedRoots = x509.NewCertPool()
		options.TrustedRoots.AddCert(root)
	}
	return tdx.RawTdxQuote(each.Evidence, options)
}

func verifyReport(each *item) error {
	report, err := abi.ReportToProto(each.Evidence)
	if err != nil {
		return err
	}
	product, err := kds.ParseProductLine(each.Product)
	if err != nil {
		return err
	}
	signer, err := abi.ParseSignerInfo(report.GetSignerInfo())
	if err != nil {
		return err
	}
	chain := &spb.CertificateChain{AskCert: each.Issuer, ArkCert: each.Root}
	if signer.SigningKey == abi.VlekReportSigner {
		chain.VlekCert = each.VEK
	} else {
		chain.VcekCert = each.VEK
	}
	options := &snp.Options{DisableCertFetching: true, Now: time.Unix(each.At, 0), Product: product}
	if len(each.Root) > 0 {
		certs, err := productCerts(each, signer.SigningKey == abi.VlekReportSigner)
		if err != nil {
			return err
		}
		options.TrustedRoots = map[string][]*trust.AMDRootCerts{
			each.Product: {{ProductLine: each.Product, ProductCerts: certs}},
		}
	}
	attestation := &spb.Attestation{Report: report, CertificateChain: chain, Product: product}
	return snp.SnpAttestation(attestation, options)
}

func productCerts(each *item, vlek bool) (*trust.ProductCerts, error) {
	root, err := x509.ParseCertificate(each.Root)
	if err != nil {
		return nil, err
	}
	issuer, err := x509.ParseCertificate(each.Issuer)
	if err != nil {
		return nil, err
	}
	if vlek {
		return &trust.ProductCerts{Asvk: issuer, Ark: root}, nil
	}
	return &trust.ProductCerts{Ask: issuer, Ark: root}, nil
}

func spent() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
