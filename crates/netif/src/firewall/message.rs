//! Requests to netfilter: tables, chains, sets, elements, rules, and the batch around them.

use neli::consts::nl::NlmF;

use super::expression::Expression;
use super::uapi::*;
use crate::codec::Writer;
use crate::family::Family;
use crate::netlink::Request;

/// How many elements go into one message: its list stays far below the 64 KiB of an attribute.
const ELEMENTS: usize = 500;

/// A set, or a map from one thing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetKind {
    pub(super) name: &'static str,
    pub(super) key: (u32, u32),
    pub(super) data: Option<(u32, u32)>,
    pub(super) constant: bool,
}

/// Where a chain hangs in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) number: u32,
    pub(super) priority: i32,
}

/// Key and, in a map, value.
pub(super) type Element = (Vec<u8>, Option<Vec<u8>>);

/// A table, for which everything else is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    pub(super) family: Family,
    pub(super) name: &'a str,
}

impl Table<'_> {
    fn request(
        &self,
        what: &str,
        kind: u16,
        flags: NlmF,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Request {
        let action = format!("{what} of the {} nftables table {}", self.family, self.name);
        let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
        Request::new(action, kind, flags, |writer| {
            // struct nfgenmsg: family, version 0, resource 0.
            writer.raw(&[self.family.number(), 0, 0, 0]);
            fill(writer);
        })
    }

    pub(super) fn create(&self) -> Request {
        let what = "the creation";
        self.request(what, NFT_MSG_NEWTABLE, NlmF::CREATE, |writer| {
            writer.text(NFTA_TABLE_NAME, self.name);
            writer.be32(NFTA_TABLE_FLAGS, 0);
        })
    }

    pub(super) fn delete(&self) -> Request {
        let what = "the removal";
        self.request(what, NFT_MSG_DELTABLE, NlmF::empty(), |writer| {
            writer.text(NFTA_TABLE_NAME, self.name);
        })
    }

    pub(super) fn chain(&self, name: &str, hook: Option<Hook>) -> Request {
        let what = format!("chain {name}");
        self.request(&what, NFT_MSG_NEWCHAIN, NlmF::CREATE, |writer| {
            writer.text(NFTA_CHAIN_TABLE, self.name);
            writer.text(NFTA_CHAIN_NAME, name);
            if let Some(hook) = hook {
                writer.nest(NFTA_CHAIN_HOOK, |writer| {
                    writer.be32(NFTA_HOOK_HOOKNUM, hook.number);
                    writer.attribute(NFTA_HOOK_PRIORITY, &hook.priority.to_be_bytes());
                });
                writer.be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
                writer.text(NFTA_CHAIN_TYPE, "filter");
            }
        })
    }

    /// A set; `id` is its number within the batch.
    pub(super) fn set(&self, set: &SetKind, id: u32) -> Request {
        let what = format!("set {}", set.name);
        self.request(&what, NFT_MSG_NEWSET, NlmF::CREATE, |writer| {
            let mut flags = 0;
            if set.constant {
                flags |= NFT_SET_CONSTANT;
            }
            if set.data.is_some() {
                flags |= NFT_SET_MAP;
            }
            writer.text(NFTA_SET_TABLE, self.name);
            writer.text(NFTA_SET_NAME, set.name);
            writer.be32(NFTA_SET_FLAGS, flags);
            writer.be32(NFTA_SET_KEY_TYPE, set.key.0);
            writer.be32(NFTA_SET_KEY_LEN, set.key.1);
            if let Some((kind, length)) = set.data {
                writer.be32(NFTA_SET_DATA_TYPE, kind);
                writer.be32(NFTA_SET_DATA_LEN, length);
            }
            writer.be32(NFTA_SET_ID, id);
            if set.key.0 == TYPE_IFACE_INDEX {
                let mut hints = KEYS_IN_HOST_ORDER.to_vec();
                if set.data.is_some() {
                    hints.extend_from_slice(&VALUES_IN_HOST_ORDER);
                }
                writer.attribute(NFTA_SET_USERDATA, &hints);
            }
        })
    }

    pub(super) fn add_elements(
        &self,
        set: &str,
        elements: &[Element],
        requests: &mut Vec<Request>,
    ) {
        let kind = (NFT_MSG_NEWSETELEM, NlmF::CREATE);
        self.elements(kind, set, elements, requests);
    }

    pub(super) fn delete_elements(
        &self,
        set: &str,
        elements: &[Element],
        requests: &mut Vec<Request>,
    ) {
        let kind = (NFT_MSG_DELSETELEM, NlmF::empty());
        self.elements(kind, set, elements, requests);
    }

    fn elements(
        &self,
        (kind, flags): (u16, NlmF),
        set: &str,
        elements: &[Element],
        requests: &mut Vec<Request>,
    ) {
        let what = format!("elements of set {set}");
        requests.extend(elements.chunks(ELEMENTS).map(|elements| {
            self.request(&what, kind, flags, |writer| {
                writer.text(NFTA_SET_ELEM_LIST_TABLE, self.name);
                writer.text(NFTA_SET_ELEM_LIST_SET, set);
                writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |writer| {
                    for element in elements {
                        write_element(writer, element);
                    }
                });
            })
        }));
    }

    pub(super) fn rule(&self, chain: &str, expressions: &[Expression]) -> Request {
        let what = format!("a rule of chain {chain}");
        let flags = NlmF::CREATE | NlmF::APPEND;
        self.request(&what, NFT_MSG_NEWRULE, flags, |writer| {
            writer.text(NFTA_RULE_TABLE, self.name);
            writer.text(NFTA_RULE_CHAIN, chain);
            writer.nest(NFTA_RULE_EXPRESSIONS, |writer| {
                for expression in expressions {
                    expression.write(writer);
                }
            });
        })
    }
}

fn write_element(writer: &mut Writer<'_>, (key, data): &Element) {
    writer.nest(NFTA_LIST_ELEM, |writer| {
        writer.nest(NFTA_SET_ELEM_KEY, |writer| {
            writer.attribute(NFTA_DATA_VALUE, key)
        });
        if let Some(data) = data {
            writer.nest(NFTA_SET_ELEM_DATA, |writer| {
                writer.attribute(NFTA_DATA_VALUE, data)
            });
        }
    });
}

/// Puts `requests` between the messages that make them one transaction, and asks for a word on the
/// last.
pub(super) fn batch(mut requests: Vec<Request>) -> Vec<Request> {
    if let Some(last) = requests.last_mut() {
        last.flags |= NlmF::ACK;
    }
    let mark = |kind| {
        let action = "change nftables".into();
        Request::new(action, kind, NlmF::empty(), |writer| {
            let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
            writer.raw(&[libc::AF_UNSPEC as u8, 0, high, low]);
        })
    };
    requests.insert(0, mark(NFNL_MSG_BATCH_BEGIN));
    requests.push(mark(NFNL_MSG_BATCH_END));
    requests
}
