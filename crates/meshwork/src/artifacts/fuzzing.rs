//! The manifest's lines and whole manifests, for the fuzz targets.

use super::ArtifactError;
use super::manifest::{Manifest, parse, sum_of};
use std::path::Path;

pub(crate) fn manifest_line(line: &[u8]) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(&parse(line)?).expect("what was read can be written");
    let mut again = sum_of(&json).into_bytes();
    again.push(b' ');
    again.extend(json);
    Some(again)
}

pub(crate) fn manifest_sum(json: &[u8]) -> String {
    sum_of(json)
}

pub(crate) fn manifest_keys(path: &Path) -> Result<Vec<String>, ArtifactError> {
    let manifest = Manifest::open(path, true)?;
    Ok(manifest.list("").into_iter().map(|info| info.key).collect())
}
