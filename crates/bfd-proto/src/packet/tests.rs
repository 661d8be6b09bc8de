//! Bytes from captures, then the limits; a test for each rejection is in `tests/pair.rs`.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// What a packet of FRR has in all states.
fn frr(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(0x5d00_00a8).unwrap(),
        your_discriminator: Discriminator::new(0xfc0f_053f),
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 50_000,
    }
}

/// Captured with tcpdump between FRR's bfdd 8.4.4 and keepalived 2.2.7.
fn captured() -> [(&'static str, Packet); 5] {
    [
        (
            "208003185d0000a8fc0f053f000f4240000f42400000c350",
            Packet {
                desired_min_tx_us: 1_000_000,
                required_min_rx_us: 1_000_000,
                ..frr(State::Init)
            },
        ),
        (
            "20e003185d0000a8fc0f053f0000c3500000c3500000c350",
            Packet {
                poll: true,
                ..frr(State::Up)
            },
        ),
        (
            "20d003185d0000a8fc0f053f0000c3500000c3500000c350",
            Packet {
                is_final: true,
                ..frr(State::Up)
            },
        ),
        (
            "2040051854307c2700000000000f42400000271000000000",
            Packet {
                multiplier: NonZeroU8::new(5).unwrap(),
                my_discriminator: Discriminator::new(0x5430_7c27).unwrap(),
                your_discriminator: None,
                desired_min_tx_us: 1_000_000,
                required_min_rx_us: 10_000,
                required_min_echo_rx_us: 0,
                ..frr(State::Down)
            },
        ),
        (
            "21400518d287172700000000000f42400000271000000000",
            Packet {
                diagnostic: Diagnostic::TIME_EXPIRED,
                multiplier: NonZeroU8::new(5).unwrap(),
                my_discriminator: Discriminator::new(0xd287_1727).unwrap(),
                your_discriminator: None,
                desired_min_tx_us: 1_000_000,
                required_min_rx_us: 10_000,
                required_min_echo_rx_us: 0,
                ..frr(State::Down)
            },
        ),
    ]
}

#[test]
fn captured_packets_are_understood_and_written_the_same() {
    for (hex, packet) in captured() {
        assert_eq!(Packet::parse(&bytes(hex)), Ok(packet));
        assert_eq!(packet.write()[..], bytes(hex));
    }
}

#[test]
fn what_follows_is_no_matter_and_what_is_missing_is() {
    let (hex, packet) = captured()[1];
    let mut data = bytes(hex);
    data.extend([0xa5; 10]);
    assert_eq!(Packet::parse(&data), Ok(packet));
    for length in 0..LENGTH {
        assert_eq!(Packet::parse(&data[..length]), Err(ParseError::Truncated));
    }
}

#[test]
fn every_flag_has_its_place() {
    let all = Packet {
        poll: true,
        is_final: true,
        independent: true,
        demand: true,
        ..frr(State::AdminDown)
    };
    assert_eq!(all.write()[1], 0x3a);
    assert_eq!(Packet::parse(&all.write()), Ok(all));
    for (bits, text) in [
        (0, "No Diagnostic"),
        (8, "Reverse Concatenated Path Down"),
        (31, "Reserved (31)"),
    ] {
        let mut data = all.write();
        data[0] |= bits;
        assert_eq!(Packet::parse(&data).unwrap().diagnostic.to_string(), text);
    }
}
