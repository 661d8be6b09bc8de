//! Names of routing tables, protocols and the like, from the files that ip(8) has them from.

use std::fs;

use kconf_parser::config::Named;

/// Folders in the order in which they are looked into: the administrator's, then the distribution's.
const FOLDERS: [&str; 3] = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2"];

/// A kind of name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Tables,
    Scopes,
    Protocols,
    DsField,
    Realms,
    Groups,
    /// Of `/etc/protocols`.
    IpProtocols,
}

impl Table {
    const fn file(self) -> &'static str {
        match self {
            Self::Tables => "rt_tables",
            Self::Scopes => "rt_scopes",
            Self::Protocols => "rt_protos",
            Self::DsField => "rt_dsfield",
            Self::Realms => "rt_realms",
            Self::Groups => "group",
            Self::IpProtocols => "/etc/protocols",
        }
    }

    fn text(self) -> String {
        if self == Self::IpProtocols {
            return fs::read_to_string(self.file()).unwrap_or_default();
        }
        let texts = FOLDERS.iter().flat_map(|folder| {
            let own = fs::read_to_string(format!("{folder}/{}", self.file()));
            let more = fs::read_dir(format!("{folder}/{}.d", self.file()));
            let more = more.into_iter().flatten().flatten();
            let more = more.filter_map(|entry| fs::read_to_string(entry.path()).ok());
            own.into_iter().chain(more).collect::<Vec<_>>()
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// The number of a name, or the number itself.
///
/// # Errors
///
/// When no file has the name, or its number does not fit.
pub(super) fn number<N: TryFrom<u32> + Copy>(named: &Named<N>, table: Table) -> Result<N, String> {
    let name = match named {
        Named::Number(number) => return Ok(*number),
        Named::Name(name) => name,
    };
    let found = look_up(&table.text(), name, table == Table::IpProtocols);
    let number = found.ok_or_else(|| format!("unknown name {name} ({})", table.file()))?;
    N::try_from(number).map_err(|_| format!("the number {number} of {name} does not fit"))
}

/// Lines are `NUMBER NAME`, or the other way round; numbers may be hexadecimal; `#` begins a comment.
fn look_up(text: &str, name: &str, name_first: bool) -> Option<u32> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, second) = (words.next()?, words.next()?);
        Some(match name_first {
            true => (second, first),
            false => (first, second),
        })
    });
    let mut found = lines.filter(|(_, it)| *it == name);
    let (number, _) = found.next()?;
    match number.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_forms_of_files() {
        let tables = "# reserved\n255\tlocal\n0x64 mine # of the office\n7 other";
        assert_eq!(look_up(tables, "mine", false), Some(100));
        assert_eq!(look_up(tables, "local", false), Some(255));
        assert_eq!(look_up(tables, "reserved", false), None);
        assert_eq!(look_up("tcp 6 TCP\n", "tcp", true), Some(6));
    }

    #[test]
    fn numbers_are_themselves_and_unknown_names_are_refused() {
        assert_eq!(number(&Named::Number(9_u8), Table::Scopes), Ok(9));
        let unknown = Named::<u8>::Name("no such name".into());
        assert!(number(&unknown, Table::Scopes).is_err());
    }
}
