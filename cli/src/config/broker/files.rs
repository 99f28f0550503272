//! Files that a broker's configuration names: secrets, certificates, keys.

use std::io::Read;
use std::path::{Path, PathBuf};

use broker_adapter::TlsConfig;

use crate::config::mistake::Field;
use crate::config::reader::Reader;

/// Larger is none of the files named here.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Notes that a file cannot be read, or that its first line, where the secret stands, is empty.
pub(super) fn check_secret(reader: &mut Reader<'_, '_>, field: &Field, file: Option<&PathBuf>) {
    let Some(text) = file.and_then(|file| text_of(reader, field, file)) else { return };
    if text.lines().next().is_none_or(str::is_empty) {
        reader.object(field, "holds nothing on its first line, where the secret belongs");
    }
}

/// Notes that a file cannot be read or does not hold `marker`, as a file with `what` does.
pub(super) fn check_holds(
    reader: &mut Reader<'_, '_>,
    field: &Field,
    file: Option<&PathBuf>,
    (marker, what): (&str, &str),
) {
    let Some(file) = file else { return };
    let Some(text) = text_of(reader, field, file) else { return };
    if !text.contains(marker) {
        let problem = format!("{} holds no {what}", file.display());
        reader.object(field, problem);
    }
}

/// Notes what is wrong with `[broker.tls]`.
pub(super) fn check_tls(reader: &mut Reader<'_, '_>, field: &Field, tls: &TlsConfig) {
    let TlsConfig { ca_file, certificate_file, key_file } = tls;
    match (certificate_file, key_file) {
        (Some(_), None) => {
            let problem = "is missing beside certificate_file; name the file of its key";
            reader.object(&field.key("key_file"), problem);
        }
        (None, Some(_)) => {
            let problem = "is missing beside key_file; name the file of its certificate";
            reader.object(&field.key("certificate_file"), problem);
        }
        _ => {}
    }
    let certificate = ("-----BEGIN CERTIFICATE-----", "certificate in PEM");
    check_holds(reader, &field.key("ca_file"), ca_file.as_ref(), certificate);
    check_holds(reader, &field.key("certificate_file"), certificate_file.as_ref(), certificate);
    let key = ("PRIVATE KEY-----", "private key in PEM");
    check_holds(reader, &field.key("key_file"), key_file.as_ref(), key);
}

fn text_of(reader: &mut Reader<'_, '_>, field: &Field, file: &Path) -> Option<String> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read()
        .map_err(|error| {
            let problem = format!(
                "cannot read {}: {error}; name a file that this user may read",
                file.display()
            );
            reader.object(field, problem);
        })
        .ok()
}
