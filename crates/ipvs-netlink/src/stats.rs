//! Counters and rates of services and destinations.
//!
//! Design: always 64 bits. Kernels since 4.1 send both widths; the wide ones win, the narrow ones
//! fill in where there are none. Who wants the narrow ones, as ipvsadm does for destinations, cuts.

use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Attributes, ParseError, Writer};
use crate::uapi::*;

/// What went through a service or a destination since it was made or zeroed, and how fast.
///
/// "In" is from clients, "out" to them. The kernel's rates are exponential averages over some
/// seconds, brought up to date every two. Source: `IPVS_STATS_ATTR_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
    /// Connections per second.
    pub conns_per_second: u64,
    /// Packets from clients per second.
    pub in_packets_per_second: u64,
    /// Packets to clients per second.
    pub out_packets_per_second: u64,
    /// Bytes from clients per second.
    pub in_bytes_per_second: u64,
    /// Bytes to clients per second.
    pub out_bytes_per_second: u64,
}

impl Stats {
    /// Writes the narrow and the wide form, as the kernel does; narrow packet counts and rates keep
    /// the low 32 bits.
    pub(crate) fn pack(&self, writer: &mut Writer<'_>, narrow: u16, wide: u16) {
        let fields = self.fields();
        writer.nest(narrow, |writer| {
            for (kind, value) in fields {
                match kind {
                    IPVS_STATS_ATTR_INBYTES | IPVS_STATS_ATTR_OUTBYTES => writer.u64(kind, value),
                    _ => writer.u32(kind, value as u32),
                }
            }
        });
        writer.nest(wide, |writer| {
            for (kind, value) in fields {
                writer.u64(kind, value);
            }
        });
    }

    pub(crate) fn unpack(
        attributes: &Attributes<'_>,
        narrow: u16,
        wide: u16,
    ) -> Result<Self, ParseError> {
        let found = match attributes.find(wide)? {
            Some(found) => Some(found),
            None => attributes.find(narrow)?,
        };
        let mut stats = Self::default();
        for attribute in found.iter().flat_map(Attribute::nested) {
            let attribute = attribute?;
            let Some(field) = stats.field(attribute.kind) else {
                continue;
            };
            *field = match attribute.payload.len() {
                4 => attribute.u32()?.into(),
                _ => attribute.u64()?,
            };
        }
        Ok(stats)
    }

    fn fields(&self) -> [(u16, u64); 10] {
        [
            (IPVS_STATS_ATTR_CONNS, self.conns),
            (IPVS_STATS_ATTR_INPKTS, self.in_packets),
            (IPVS_STATS_ATTR_OUTPKTS, self.out_packets),
            (IPVS_STATS_ATTR_INBYTES, self.in_bytes),
            (IPVS_STATS_ATTR_OUTBYTES, self.out_bytes),
            (IPVS_STATS_ATTR_CPS, self.conns_per_second),
            (IPVS_STATS_ATTR_INPPS, self.in_packets_per_second),
            (IPVS_STATS_ATTR_OUTPPS, self.out_packets_per_second),
            (IPVS_STATS_ATTR_INBPS, self.in_bytes_per_second),
            (IPVS_STATS_ATTR_OUTBPS, self.out_bytes_per_second),
        ]
    }

    fn field(&mut self, kind: u16) -> Option<&mut u64> {
        match kind {
            IPVS_STATS_ATTR_CONNS => Some(&mut self.conns),
            IPVS_STATS_ATTR_INPKTS => Some(&mut self.in_packets),
            IPVS_STATS_ATTR_OUTPKTS => Some(&mut self.out_packets),
            IPVS_STATS_ATTR_INBYTES => Some(&mut self.in_bytes),
            IPVS_STATS_ATTR_OUTBYTES => Some(&mut self.out_bytes),
            IPVS_STATS_ATTR_CPS => Some(&mut self.conns_per_second),
            IPVS_STATS_ATTR_INPPS => Some(&mut self.in_packets_per_second),
            IPVS_STATS_ATTR_OUTPPS => Some(&mut self.out_packets_per_second),
            IPVS_STATS_ATTR_INBPS => Some(&mut self.in_bytes_per_second),
            IPVS_STATS_ATTR_OUTBPS => Some(&mut self.out_bytes_per_second),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `IPVS_SVC_ATTR_STATS` and `STATS64` of a service after two packets each way, as Linux 6.1 on
    /// user-mode Linux sends them: with padding before the 64-bit numbers.
    const NARROW: &str = "60000a000800010001000000080002000200000008000300010000000c00040070000000\
        0000000004000b000c0005003c00000000000000080006000000000008000700000000000800080000000000\
        080009000e00000008000a0007000000";
    const WIDE: &str = "a0000c000c000100010000000000000004000b000c000200020000000000000004000b00\
        0c000300010000000000000004000b000c000400700000000000000004000b000c0005003c00000000000000\
        04000b000c000600000000000000000004000b000c000700000000000000000004000b000c00080000000000\
        0000000004000b000c0009000e0000000000000004000b000c000a000700000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn read(bytes: &[u8]) -> Stats {
        let attributes = Attributes::new(bytes);
        Stats::unpack(&attributes, IPVS_SVC_ATTR_STATS, IPVS_SVC_ATTR_STATS64).unwrap()
    }

    const EXPECTED: Stats = Stats {
        conns: 1,
        in_packets: 2,
        out_packets: 1,
        in_bytes: 112,
        out_bytes: 60,
        conns_per_second: 0,
        in_packets_per_second: 0,
        out_packets_per_second: 0,
        in_bytes_per_second: 14,
        out_bytes_per_second: 7,
    };

    #[test]
    fn both_widths_of_the_kernel_are_read() {
        assert_eq!(read(&bytes(WIDE)), EXPECTED);
        // A kernel before 4.1 has only this.
        assert_eq!(read(&bytes(NARROW)), EXPECTED);
        assert_eq!(read(&[]), Stats::default());
    }

    #[test]
    fn the_wide_form_wins_and_the_narrow_one_wraps() {
        let stats = Stats {
            conns: (1 << 32) + 5,
            in_bytes: 1 << 40,
            ..EXPECTED
        };
        let mut both = Vec::new();
        stats.pack(
            &mut Writer::new(&mut both),
            IPVS_SVC_ATTR_STATS,
            IPVS_SVC_ATTR_STATS64,
        );
        assert_eq!(read(&both), stats);
        // Without the wide form, under which the reader then looks for something that is not there.
        let narrow = Stats::unpack(&Attributes::new(&both), IPVS_SVC_ATTR_STATS, 99).unwrap();
        assert_eq!(narrow, Stats { conns: 5, ..stats });
    }
}
