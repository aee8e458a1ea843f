//! Object keys. The server makes them from ids and names that match one strict pattern;
//! nothing a client wrote is ever in one.

use super::name::{Id, SlotName, Tenant};

/// Where a ticket's bytes arrive, in the staging bucket.
pub fn staging(id: Id) -> String {
    id.to_string()
}

const PROBE: &str = "putgate-probe-";

/// Where, in the staging bucket, is tried out whether anything can be read, when a ticket's
/// object cannot.
pub fn probe(id: Id) -> String {
    format!("{PROBE}{id}")
}

/// `{ticket id}.`: what the keys of a ticket's pieces begin with, in the staging bucket.
pub fn piece_prefix(id: Id) -> String {
    format!("{id}.")
}

/// `{ticket id}.{offset}`: where a piece of a file waits for the next one, when a client posts
/// a file in several requests.
pub fn piece(id: Id, offset: u64) -> String {
    format!("{id}.{offset}")
}

/// The offset that the key of a piece names.
pub fn piece_offset(key: &str) -> Option<u64> {
    let digits = key.split_once('.')?.1;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The ticket a staging key belongs to, its own or that of its probe or of a piece; `None`
/// when no ticket of ours made it.
pub fn staging_owner(key: &str) -> Option<Id> {
    let key = match piece_offset(key) {
        Some(_) => key.split_once('.')?.0,
        None => key.strip_prefix(PROBE).unwrap_or(key),
    };
    (key.len() == 36).then(|| Id::try_parse(key).ok()).flatten()
}

/// `{tenant}/{slot}/{id}.`: what all final keys of one ticket begin with.
pub fn final_prefix(tenant: &Tenant, slot: &SlotName, id: Id) -> String {
    format!("{tenant}/{slot}/{id}.")
}

/// `{tenant}/{slot}/{id}.{epoch}{.ext}`: one per attempt, written at most once.
/// `extension` is the detected type's, with its dot.
pub fn final_key(
    tenant: &Tenant,
    slot: &SlotName,
    id: Id,
    epoch: u32,
    extension: Option<&str>,
) -> String {
    format!(
        "{}{epoch}{}",
        final_prefix(tenant, slot, id),
        extension.unwrap_or("")
    )
}

/// The ticket and the attempt that a final key names; `None` when no attempt of ours made it.
pub fn final_owner(key: &str) -> Option<(Id, u32)> {
    let name = key.rsplit('/').next()?;
    let (id, rest) = (name.get(..36)?, name.get(36..)?);
    let epoch = rest.strip_prefix('.')?.split('.').next()?;
    Some((Id::try_parse(id).ok()?, epoch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_ticket_and_attempt() {
        let id = Id::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let tenant = Tenant::parse("acme").unwrap();
        let slot = SlotName::parse("photos").unwrap();
        let key = final_key(&tenant, &slot, id, 3, Some(".png"));
        assert_eq!(
            key,
            "acme/photos/01900000-0000-7000-8000-000000000001.3.png"
        );
        assert_eq!(final_owner(&key), Some((id, 3)));
        assert_eq!(
            final_owner(&final_key(&tenant, &slot, id, 4, None)),
            Some((id, 4))
        );
        assert_eq!(staging_owner(&staging(id)), Some(id));
        assert_eq!(staging_owner(&probe(id)), Some(id));
        let piece = piece(id, 5_242_880);
        assert!(piece.starts_with(&piece_prefix(id)));
        assert_eq!(piece_offset(&piece), Some(5_242_880));
        assert_eq!(staging_owner(&piece), Some(id));
        for foreign in [
            "",
            "x",
            "acme/photos/readme.txt",
            "../../etc/passwd",
            &id.simple().to_string(),
        ] {
            assert_eq!(final_owner(foreign), None, "{foreign}");
            assert_eq!(staging_owner(foreign), None, "{foreign}");
        }
        for suffix in [".", ".+1", ".1.2", ".x", "1"] {
            assert_eq!(staging_owner(&format!("{id}{suffix}")), None, "{suffix}");
        }
        assert_eq!(staging_owner(&format!("{}.1", probe(id))), None);
    }
}
