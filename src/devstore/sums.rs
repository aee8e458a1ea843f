//! The checksums S3 knows, and the hashing of a body while it passes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumType};
use serde::{Deserialize, Serialize};

/// Base64 digests by algorithm; a composite one ends in `-<parts>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

/// Reads the five checksum fields which the S3 inputs have in common.
macro_rules! sums_of {
    ($input:expr) => {
        $crate::devstore::sums::Sums {
            crc32: $input.checksum_crc32.clone(),
            crc32c: $input.checksum_crc32c.clone(),
            crc64nvme: $input.checksum_crc64nvme.clone(),
            sha1: $input.checksum_sha1.clone(),
            sha256: $input.checksum_sha256.clone(),
        }
    };
}

/// Writes the five checksum fields which the S3 outputs have in common.
macro_rules! put_sums {
    ($output:expr, $sums:expr) => {
        $output.checksum_crc32 = $sums.crc32.clone();
        $output.checksum_crc32c = $sums.crc32c.clone();
        $output.checksum_crc64nvme = $sums.crc64nvme.clone();
        $output.checksum_sha1 = $sums.sha1.clone();
        $output.checksum_sha256 = $sums.sha256.clone();
    };
}

pub(super) use {put_sums, sums_of};

impl Sums {
    /// Every algorithm's wire name with its digest.
    fn pairs(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("crc32", &self.crc32),
            ("crc32c", &self.crc32c),
            ("crc64nvme", &self.crc64nvme),
            ("sha1", &self.sha1),
            ("sha256", &self.sha256),
        ]
    }

    /// Sets the digest of the algorithm with this wire name; others are ignored.
    pub(super) fn set(&mut self, algorithm: &str, digest: &str) {
        let slot = match algorithm {
            "crc32" => &mut self.crc32,
            "crc32c" => &mut self.crc32c,
            "crc64nvme" => &mut self.crc64nvme,
            "sha1" => &mut self.sha1,
            "sha256" => &mut self.sha256,
            _ => return,
        };
        *slot = Some(digest.to_owned());
    }

    /// The first algorithm for which `declared` names another digest than this one.
    pub(super) fn disagreement(&self, declared: &Self) -> Option<&'static str> {
        let pairs = self.pairs().into_iter().zip(declared.pairs());
        pairs
            .filter(|((_, _), (_, declared))| declared.is_some())
            .find(|((_, mine), (_, declared))| mine != declared)
            .map(|((name, _), _)| name)
    }

    /// `COMPOSITE` or `FULL_OBJECT`; nothing without a digest.
    pub(super) fn kind(&self) -> Option<ChecksumType> {
        let (_, digest) = self
            .pairs()
            .into_iter()
            .find(|(_, digest)| digest.is_some())?;
        let composite = digest.as_deref().is_some_and(|text| text.contains('-'));
        Some(ChecksumType::from_static(if composite {
            ChecksumType::COMPOSITE
        } else {
            ChecksumType::FULL_OBJECT
        }))
    }

    /// The composite digests of an object made of these parts: for every algorithm
    /// that each of them has, the digest of their digests.
    pub(super) fn composite(parts: &[&Self]) -> Self {
        let mut made = Self::default();
        for (name, _) in made.clone().pairs() {
            let raw: Option<Vec<Vec<u8>>> = parts.iter().map(|part| part.raw(name)).collect();
            let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
                continue;
            };
            let mut digest = Digest::of(&[name.to_owned()]);
            digest.update(&raw.concat());
            if let Some(text) = digest
                .finish()
                .sums
                .pairs()
                .into_iter()
                .find_map(|(_, d)| d.as_ref())
            {
                made.set(name, &format!("{text}-{}", parts.len()));
            }
        }
        made
    }

    fn raw(&self, algorithm: &str) -> Option<Vec<u8>> {
        let (_, digest) = self
            .pairs()
            .into_iter()
            .find(|(name, _)| *name == algorithm)?;
        STANDARD.decode(digest.as_deref()?).ok()
    }

    /// The wire names of the algorithms that have a digest here.
    pub(super) fn names(&self) -> Vec<String> {
        let named = self
            .pairs()
            .into_iter()
            .filter(|(_, digest)| digest.is_some());
        named.map(|(name, _)| name.to_owned()).collect()
    }
}

/// A running MD5 (the `ETag`) and the running checksums of one body.
pub(super) struct Digest {
    md5: Md5,
    sums: ChecksumHasher,
}

/// What a body's bytes came to.
pub(super) struct Digested {
    pub(super) md5: Vec<u8>,
    pub(super) sums: Sums,
}

impl Digest {
    /// For the algorithms of these wire names (any case); CRC64NVME when there is
    /// none, as S3 does it.
    pub(super) fn of(algorithms: &[String]) -> Self {
        let named = |name: &str| algorithms.iter().any(|one| one.eq_ignore_ascii_case(name));
        let sums = ChecksumHasher {
            crc32: named("crc32").then(Crc32::new),
            crc32c: named("crc32c").then(Crc32c::new),
            sha1: named("sha1").then(Sha1::new),
            sha256: named("sha256").then(Sha256::new),
            crc64nvme: (algorithms.is_empty() || named("crc64nvme")).then(Crc64Nvme::new),
        };
        Self {
            md5: Md5::new(),
            sums,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sums.update(bytes);
    }

    pub(super) fn finish(self) -> Digested {
        let sums: Checksum = self.sums.finalize();
        Digested {
            md5: self.md5.finalize().as_ref().to_vec(),
            sums: sums_of!(sums),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digested(algorithms: &[&str], bytes: &[u8]) -> Digested {
        let names: Vec<String> = algorithms.iter().map(ToString::to_string).collect();
        let mut digest = Digest::of(&names);
        digest.update(bytes);
        digest.finish()
    }

    #[test]
    fn a_body_without_a_named_algorithm_gets_crc64nvme_and_its_md5() {
        let done = digested(&[], b"123456789");
        assert_eq!(done.sums.names(), ["crc64nvme"]);
        let check = 0xAE8B_1486_0A79_9888_u64.to_be_bytes();
        assert_eq!(done.sums.crc64nvme, Some(STANDARD.encode(check)));
        assert_eq!(hex::encode(done.md5), "25f9e794323b453885f5181f1b624d0b");
    }

    #[test]
    fn a_disagreement_names_the_algorithm_and_what_is_not_declared_agrees() {
        let mine = digested(&["SHA256", "CRC32"], b"hello").sums;
        let mut declared = Sums::default();
        assert_eq!(mine.disagreement(&declared), None);
        declared.crc32 = mine.crc32.clone();
        assert_eq!(mine.disagreement(&declared), None);
        declared.sha256 = Some("AAAA".into());
        assert_eq!(mine.disagreement(&declared), Some("sha256"));
    }

    #[test]
    fn a_composite_needs_every_part_to_have_the_digest() {
        let (one, two) = (
            digested(&["crc32"], b"a").sums,
            digested(&["crc32"], b"b").sums,
        );
        let both = Sums::composite(&[&one, &two]);
        assert!(
            both.crc32
                .as_deref()
                .is_some_and(|text| text.ends_with("-2"))
        );
        assert_eq!(
            both.kind().map(|kind| kind.as_str().to_owned()),
            Some("COMPOSITE".into())
        );
        assert_eq!(
            Sums::composite(&[&one, &digested(&["sha1"], b"b").sums]),
            Sums::default()
        );
    }
}
