//! Which addresses are not the public internet. A name of the receiver's may resolve to one
//! of them, by mistake or to reach what only this machine can: a cloud's metadata, a
//! database, an admin page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is, when it is not one of the public internet (IANA's
/// special-purpose registries).
pub(super) fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => not_public_v4(ip),
        IpAddr::V6(ip) => not_public_v6(ip),
    }
}

fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("no address to call"),
        [127, ..] => Some("this machine"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private network"),
        [100, 64..=127, ..] => Some("a carrier's or overlay's network"),
        // Clouds answer with a machine's credentials at 169.254.169.254.
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0, _] | [192, 88, 99, _] => Some("reserved for protocols"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("reserved for documents"),
        [198, 18..=19, ..] => Some("reserved for benchmarks"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let inner = |high: u16, low: u16| {
        let bits = u32::from(high) << 16 | u32::from(low);
        not_public_v4(Ipv4Addr::from_bits(bits))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        // Addresses that carry one of IPv4: mapped, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => inner(high, low),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("reserved for documents"),
        // Teredo and its neighbours: an IPv4 address hides in some of these.
        [0x2001, 0..=0x01ff, ..] => Some("reserved for protocols"),
        [0xfc00..=0xfdff, ..] => Some("a private network"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // Everything in use by the public is in 2000::/3.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_public_internet() {
        for (ip, kind) in [
            ("127.0.0.1", Some("this machine")),
            ("127.8.9.10", Some("this machine")),
            ("0.0.0.0", Some("no address to call")),
            ("10.0.0.1", Some("a private network")),
            ("172.15.255.255", None),
            ("172.16.0.1", Some("a private network")),
            ("172.31.255.255", Some("a private network")),
            ("172.32.0.0", None),
            ("192.168.1.1", Some("a private network")),
            ("169.254.169.254", Some("link-local")),
            ("100.63.255.255", None),
            ("100.64.0.1", Some("a carrier's or overlay's network")),
            ("100.100.100.200", Some("a carrier's or overlay's network")),
            ("100.128.0.0", None),
            ("192.0.0.192", Some("reserved for protocols")),
            ("198.18.0.1", Some("reserved for benchmarks")),
            ("198.20.0.1", None),
            ("203.0.113.9", Some("reserved for documents")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("reserved")),
            ("93.184.215.14", None),
            ("::1", Some("this machine")),
            ("::", Some("reserved")),
            ("::ffff:127.0.0.1", Some("this machine")),
            ("::ffff:169.254.169.254", Some("link-local")),
            ("::ffff:93.184.215.14", None),
            ("::127.0.0.1", Some("reserved")),
            ("64:ff9b::7f00:1", Some("this machine")),
            ("64:ff9b::5db8:d70e", None),
            ("64:ff9b:1::a00:1", Some("reserved")),
            ("2002:7f00:1::", Some("this machine")),
            ("2002:5db8:d70e::1", None),
            ("2001::1", Some("reserved for protocols")),
            ("2001:db8::1", Some("reserved for documents")),
            ("fc00::1", Some("a private network")),
            ("fd00:ec2::254", Some("a private network")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("reserved")),
            ("ff02::1", Some("multicast")),
            ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", None),
        ] {
            assert_eq!(not_public(ip.parse().unwrap()), kind, "{ip}");
        }
    }
}
