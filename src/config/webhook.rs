//! `[webhook]`: where events go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Webhook;
use super::reader::{Reader, Section};
use super::values::{self, FLAG, HOOK_URL};
use crate::domain::secret::Secret;

/// The shortest secret Standard Webhooks allows.
const MIN_WEBHOOK_BYTES: usize = 24;

/// Reads the section; `None` when nothing of it is given.
pub(super) fn read<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Option<Webhook> {
    let s = &mut r.section(top, "webhook", true);
    let is_given = r.is_given(s);
    let url = r.value(s, "url", &HOOK_URL);
    let allow_private = r.value_or(s, "allow_private", &FLAG, false);
    let mut secrets = Vec::new();
    for file in r.secret_files(s, "secret_files") {
        match webhook_secret(&file.bytes) {
            Ok(secret) => secrets.push(secret),
            Err(why) => r.refuse_item(s, "secret_files", &file.name, &file.origin, &why),
        }
    }
    r.close(s);
    if !is_given {
        return None;
    }
    if let Some(url) = &url
        && !allow_private
        && let Some(why) = values::unsafe_receiver(url)
    {
        r.refuse(s, "url", &why);
    }
    if url.is_none() {
        r.missing(s, "url", "Write where events go, or remove [webhook].");
    }
    if secrets.is_empty() {
        r.missing(
            s,
            "secret_files",
            "Events are signed, so a receiver can tell them from forged ones. Name a file.",
        );
    }
    Some(Webhook {
        url: url.map(|url| url.text()).unwrap_or_default(),
        secrets,
        allow_private,
    })
}

/// The HMAC key in a webhook's secret file: `whsec_` and base64, or raw bytes.
fn webhook_secret(bytes: &[u8]) -> Result<Secret, String> {
    let key = match bytes.strip_prefix(b"whsec_") {
        Some(text) => STANDARD
            .decode(text)
            .map_err(|_| "begins with whsec_, but what follows is not base64.".to_owned())?,
        None => bytes.to_owned(),
    };
    if key.len() < MIN_WEBHOOK_BYTES {
        return Err(format!(
            "holds {} bytes, and a webhook's secret needs {MIN_WEBHOOK_BYTES}. Make one with `openssl rand -hex 32`.",
            key.len()
        ));
    }
    Ok(Secret::new(key))
}
