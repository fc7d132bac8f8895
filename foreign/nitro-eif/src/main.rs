//! Builds and reads enclave images with AWS's own library, for compare.py.
//!
//!     nitro-eif build OUT KERNEL CMDLINE FLAGS KEY|- CERTIFICATE|- RAMDISK...
//!     nitro-eif read FILE
//!
//! Both print one line of JSON.

use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{get_pcrs, EifBuilder, PcrSignatureChecker, SignEnclaveInfo};
use serde_json::json;
use sha2::{Digest, Sha384};
use std::fs::OpenOptions;
use std::path::Path;

fn build(words: &[String]) -> serde_json::Value {
    let identity = EifIdentityInfo {
        img_name: "compared".into(),
        img_version: "1".into(),
        build_info: EifBuildInfo {
            build_time: "now".into(),
            build_tool: "compare".into(),
            build_tool_version: "1".into(),
            img_os: "none".into(),
            img_kernel: "none".into(),
        },
        docker_info: json!({}),
        custom_info: json!({"numbers": [1, 2, 3]}),
    };
    let signer = match words[4].as_str() {
        "-" => None,
        key => Some(SignEnclaveInfo::new(&words[5], key).expect("key and certificate")),
    };
    let flags = words[3].parse().expect("flags");
    let kernel = Path::new(&words[1]);
    let mut builder = EifBuilder::new(kernel, words[2].clone(), signer, Sha384::new(), flags, identity);
    for ramdisk in &words[6..] {
        builder.add_ramdisk(Path::new(ramdisk));
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&words[0])
        .expect("a file to write");
    json!(builder.write_to(&mut file))
}

fn signature(path: &str) -> String {
    match PcrSignatureChecker::from_eif(path) {
        Err(error) => error,
        Ok(checker) if checker.is_empty() => "none".into(),
        Ok(mut checker) => checker.verify().err().unwrap_or_else(|| "valid".into()),
    }
}

fn read(path: &str) -> serde_json::Value {
    match EifReader::from_eif(path.into()) {
        Err(error) => json!({ "error": error }),
        Ok(mut reader) => json!({
            "crc": reader.check_crc(),
            "registers": get_pcrs(
                &mut reader.image_hasher,
                &mut reader.bootstrap_hasher,
                &mut reader.app_hasher,
                &mut reader.cert_hasher,
                Sha384::new(),
                reader.signature_section.is_some(),
            )
            .unwrap_or_default(),
            "signature": signature(path),
        }),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let answer = match words[0].as_str() {
        "build" => build(&words[1..]),
        _ => read(&words[1]),
    };
    println!("{answer}");
}
