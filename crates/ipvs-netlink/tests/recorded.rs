//! The table against a kernel: every request of a recording gets the recorded answer.
//!
//! `recorded/linux-6.1.txt` was made by `examples/record.rs` on Linux 6.1.176 (Debian's user-mode
//! kernel). Lines: `#` title, `>` request, `<` answer, in hex. Compared attribute for attribute, in
//! order; not compared are port ids, the padding before 64-bit numbers that only some architectures
//! have, the operations in the family's description, and the order of services in a dump, which is
//! that of a hash in the kernel.

use ipvs_netlink::codec::{Attributes, Message, Messages};
use ipvs_netlink::uapi::*;
use ipvs_netlink::{Session, Table};

const RECORDING: &str = include_str!("recorded/linux-6.1.txt");

/// `CTRL_ATTR_OPS`.
const OPERATIONS: u16 = 6;

#[test]
fn every_answer_is_the_kernels() {
    let mut table = Table::new(());
    let mut session = Session::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for block in RECORDING.split("# ").skip(1) {
        let mut lines = block.lines();
        let title = lines.next().unwrap();
        let request = bytes(lines.next().unwrap().strip_prefix("> ").unwrap());
        let recorded: Vec<u8> = lines
            .flat_map(|line| bytes(line.strip_prefix("< ").unwrap()))
            .collect();
        let mut ours = Vec::new();
        session.handle_input(&request).unwrap();
        while session.poll_output(&mut table, &mut ours).unwrap() {}
        count += 1;
        let (ours, recorded) = (readable(&ours), readable(&recorded));
        if ours != recorded {
            wrong.push(format!("# {title}\nkernel: {recorded:#?}\nours: {ours:#?}"));
        }
    }
    assert!(count > 300, "only {count} requests in the recording");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// One line for each message.
fn readable(answers: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = Messages::new(answers)
        .map(|message| describe(&message.unwrap()))
        .collect();
    if lines.iter().any(|line| line.contains("cmd 1 ")) {
        lines.sort();
    }
    lines
}

fn describe(message: &Message<'_>) -> String {
    let mut text = format!(
        "{:x} {:x} #{} ",
        message.kind,
        message.flags.bits(),
        message.sequence
    );
    if message.is_error() || message.is_done() {
        let code = i32::from_ne_bytes(message.payload[..4].try_into().unwrap());
        return text + &format!("code {code} quotes {:02x?}", &message.payload[4..]);
    }
    let (command, attributes) = message.generic().unwrap();
    text += &format!("cmd {command} version {} ", message.payload[1]);
    let control = message.kind == 0x10;
    walk(attributes, &[], control, &mut text);
    text
}

fn walk(attributes: Attributes<'_>, path: &[u16], control: bool, text: &mut String) {
    for attribute in attributes {
        let attribute = attribute.unwrap();
        let path = [path, &[attribute.kind]].concat();
        let nested = !control
            && match path[..] {
                [IPVS_CMD_ATTR_SERVICE | IPVS_CMD_ATTR_DEST | IPVS_CMD_ATTR_DAEMON] => {
                    // In the answers about timeouts and info the numbers mean something else.
                    attribute.payload.len() > 4
                }
                [
                    IPVS_CMD_ATTR_SERVICE,
                    IPVS_SVC_ATTR_STATS | IPVS_SVC_ATTR_STATS64,
                ] => true,
                [
                    IPVS_CMD_ATTR_DEST,
                    IPVS_DEST_ATTR_STATS | IPVS_DEST_ATTR_STATS64,
                ] => true,
                _ => false,
            };
        let padding = path.len() == 3 && attribute.kind == IPVS_STATS_ATTR_PAD;
        if nested {
            *text += &format!("{path:?}{{ ");
            walk(attribute.nested(), &path, control, text);
            *text += "} ";
        } else if !(padding || control && attribute.kind == OPERATIONS) {
            *text += &format!("{path:?}={:02x?} ", attribute.payload);
        }
    }
}
