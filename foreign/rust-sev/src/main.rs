//! SEV-SNP reports, judged and shown by virtee's `sev`, the library under snpguest, and by nothing of Assay's.
//!
//! Reads lines of words, bytes in hexadecimal digits, and answers each with one line:
//!
//! ```text
//! show REPORT                 the report as `snpguest display report` prints it, as one quoted string
//! signature VEK REPORT        accepted, or refused: why
//! chain ARK ISSUER VEK        likewise; as `snpguest verify certs`, it asks neither for time nor for roots
//! measure CPU VCPUS FEATURES HYPERVISOR OVMF [KERNEL INITRD CMDLINE]
//!                             the launch digest as `snpguest generate measurement` prints it; files by name,
//!                             the command line as text in hexadecimal digits, or "-"
//! ```

use std::io::{stdin, stdout, BufRead, BufWriter, Write};

use sev::certs::snp::{ca, Certificate, Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::measurement::snp::{snp_calc_launch_digest, SnpMeasurementArgs};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};
use sev::parser::ByteParser;

type Answer = Result<String, Box<dyn std::error::Error>>;

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match answer(&words) {
            Ok(text) => writeln!(out, "{text}")?,
            Err(why) => writeln!(out, "refused: {:?}", why.to_string())?,
        }
    }
    Ok(())
}

fn answer(words: &[&str]) -> Answer {
    match words {
        ["show", report] => Ok(format!("{:?}", read(report)?.to_string())),
        ["signature", vek, report] => {
            let (vek, report) = (certificate(vek)?, read(report)?);
            (&vek, &report).verify()?;
            Ok("accepted".into())
        }
        ["chain", ark, issuer, vek] => {
            let ca = ca::Chain { ark: certificate(ark)?, ask: certificate(issuer)? };
            let chain = Chain { ca, vek: certificate(vek)? };
            (&chain).verify()?;
            Ok("accepted".into())
        }
        ["measure", machine @ ..] if matches!(machine.len(), 5 | 8) => measure(machine),
        _ => Err("no such question".into()),
    }
}

fn measure(words: &[&str]) -> Answer {
    let cmdline = match words.get(7) {
        Some(&"-") | None => String::new(),
        Some(digits) => String::from_utf8(hex::decode(digits)?)?,
    };
    let digest = snp_calc_launch_digest(SnpMeasurementArgs {
        vcpus: words[1].parse()?,
        vcpu_type: CpuType::try_from(words[0])?,
        ovmf_file: words[4].into(),
        guest_features: GuestFeatures(words[2].parse()?),
        kernel_file: words.get(5).map(Into::into),
        initrd_file: words.get(6).map(Into::into),
        append: words.get(7).map(|_| cmdline.as_str()),
        ovmf_hash_str: None,
        vmm_type: Some(words[3].parse::<VMMType>()?),
    })?;
    Ok(digest.get_hex_ld())
}

fn read(digits: &str) -> Result<AttestationReport, Box<dyn std::error::Error>> {
    Ok(AttestationReport::from_bytes(&hex::decode(digits)?)?)
}

fn certificate(digits: &str) -> Result<Certificate, Box<dyn std::error::Error>> {
    Ok(Certificate::from_der(&hex::decode(digits)?)?)
}
