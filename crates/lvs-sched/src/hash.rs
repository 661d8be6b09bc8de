//! The hashes of dh, sh, lblc, lblcr (multiplicative) and mh (SipHash-1-3), as on a 64-bit
//! little-endian kernel since 4.18.

use std::net::IpAddr;

/// The four bytes of an IPv4 address as a number; of an IPv6 address the four words, big-endian,
/// combined by exclusive or.
#[must_use]
pub fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            // Truncation is meant: the four 32-bit words of 128 bits.
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

/// Bucket of a table of 256: the top 8 bits of `value` times the golden ratio of 2³². Used by dh and
/// sh. Kernel: `hash_32`.
#[must_use]
pub fn golden8(value: u32) -> u8 {
    golden(value).to_be_bytes()[0]
}

/// Bucket of a table of 1024: as [`golden8`], the top 10 bits. Used by lblc and lblcr.
#[must_use]
pub fn golden10(value: u32) -> u16 {
    (golden(value) >> 22) as u16 // 10 bits are left
}

fn golden(value: u32) -> u32 {
    value.wrapping_mul(0x61C8_8647)
}

/// The low half of SipHash-1-3 over one little-endian word, with `key` as both halves of the key.
/// Kernel: `hsiphash_1u32` where a word has 64 bits.
#[must_use]
pub fn sip13(value: u32, key: u64) -> u32 {
    let mut v = [
        0x736f_6d65_7073_6575 ^ key,
        0x646f_7261_6e64_6f6d ^ key,
        0x6c79_6765_6e65_7261 ^ key,
        0x7465_6462_7974_6573 ^ key,
    ];
    // The message is shorter than a block, so the only block is the final one: the length, 4, in
    // the top byte.
    let block = 4u64 << 56 | u64::from(value);
    v[3] ^= block;
    sip_round(&mut v);
    v[0] ^= block;
    v[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut v);
    }
    (v[0] ^ v[1] ^ v[2] ^ v[3]) as u32
}

fn sip_round(v: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *v;
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// address, top 8 bits, top 10 bits, SipHash with the key of mh; checked on a running kernel.
    const KNOWN: [(&str, u8, u16, u32); 5] = [
        ("10.0.0.1", 39, 159, 0x0308_0ce4),
        ("192.168.1.77", 144, 577, 0x5f1e_d649),
        ("203.0.113.9", 64, 257, 0xcbf7_eefc),
        ("2001:db8::5", 198, 792, 0xee29_3906),
        ("fd00:192::1", 25, 102, 0x480e_4b2c),
    ];

    #[test]
    fn known_values() {
        for (address, top8, top10, sip) in KNOWN {
            let folded = fold(address.parse().unwrap());
            assert_eq!(golden8(folded), top8, "{address}");
            assert_eq!(golden10(folded), top10, "{address}");
            assert_eq!(sip13(folded, 2_654_435_761), sip, "{address}");
        }
    }

    #[test]
    fn a_port_is_added_before_hashing() {
        let client = fold("203.0.113.9".parse().unwrap());
        assert_eq!(golden8(client.wrapping_add(12345)), 159);
        assert_eq!(
            sip13(client.wrapping_add(12345), 2_654_435_761) % 4093,
            3754
        );
    }
}
