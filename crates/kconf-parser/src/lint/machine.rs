//! What a configuration needs of the machine that it is for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::Analysis;
use crate::ast::{Block, Setting, Value};
use crate::config::{DynamicInterfaces, ForwardMethod, Script, ScriptUser};
use crate::diagnostic::{Code, Diagnostic};
use crate::keyword::BlockKind;
use crate::source::Span;

/// What is asked of a machine. This crate has no implementation: it looks at nothing but text.
pub trait Machine {
    /// Whether there is an interface of this name.
    fn has_interface(&self, name: &str) -> bool;
    /// Whether there is a user of this name or number.
    fn has_user(&self, user: &str) -> bool;
    /// Whether there is a group of this name or number.
    fn has_group(&self, group: &str) -> bool;
    /// What is known of a file; `None` if there is none. Links are followed.
    fn file(&self, path: &Path) -> Option<FileFacts>;
    /// Where a program without a path is found.
    fn find_program(&self, name: &str) -> Option<PathBuf>;
    /// The value of a sysctl such as `net.ipv4.ip_forward`.
    fn sysctl(&self, name: &str) -> Option<String>;
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Whether it is a plain file that somebody may execute.
    pub executable: bool,
    /// Whether only root can change it, or replace it by changing a folder above.
    pub only_root_writes: bool,
}

/// Looks for what a configuration needs and the machine does not have.
pub fn check_machine(analysis: &Analysis, machine: &dyn Machine) -> Vec<Diagnostic> {
    let mut check = Check {
        analysis,
        machine,
        found: Vec::new(),
        said: HashSet::new(),
        scripts: false,
    };
    check.block(&analysis.ast);
    check.security();
    check.forwarding();
    check.found
}

struct Check<'m> {
    analysis: &'m Analysis,
    machine: &'m dyn Machine,
    found: Vec<Diagnostic>,
    /// What has been said once.
    said: HashSet<(Code, String)>,
    /// Whether there is any script.
    scripts: bool,
}

impl Check<'_> {
    fn push(&mut self, diagnostic: Diagnostic, about: &str) {
        if self.said.insert((diagnostic.code, about.to_owned())) {
            self.found.push(diagnostic);
        }
    }

    fn error(&mut self, code: Code, span: Span, about: &str, message: String, help: &str) {
        let place = self.analysis.sources.place(span);
        self.push(Diagnostic::error(code, place, message).help(help), about);
    }

    fn block(&mut self, block: &Block) {
        for setting in &block.settings {
            self.setting(block, setting);
        }
        for inner in &block.blocks {
            self.block(inner);
        }
    }

    fn setting(&mut self, block: &Block, setting: &Setting) {
        const INTERFACES: &[&str] = &["interface", "default_interface", "bind_if", "vrf"];
        let slice = |word: &crate::tree::Word| self.analysis.sources.slice(word.span).to_owned();
        match &setting.value {
            Some(Value::Word(word)) if INTERFACES.contains(&setting.keyword.name) => {
                let name = slice(word);
                self.interface(word.outer(), &name);
            }
            Some(Value::Words(words)) if setting.keyword.name == "interfaces" => {
                for word in words {
                    let name = slice(word);
                    self.interface(word.outer(), &name);
                }
            }
            Some(Value::Tracks(lines)) if setting.keyword.name == "track_interface" => {
                for line in lines {
                    let name = slice(&line.value.name);
                    self.interface(line.span, &name);
                }
            }
            Some(Value::Addresses(lines)) => {
                for line in lines {
                    self.perhaps_interface(line.span, line.value.interface.as_deref());
                }
            }
            Some(Value::Routes(lines)) => {
                for line in lines {
                    self.perhaps_interface(line.span, line.value.interface.as_deref());
                    for hop in &line.value.nexthops {
                        self.perhaps_interface(line.span, hop.interface.as_deref());
                    }
                }
            }
            Some(Value::Rules(lines)) => {
                for line in lines {
                    self.perhaps_interface(line.span, line.value.input_interface.as_deref());
                    self.perhaps_interface(line.span, line.value.output_interface.as_deref());
                }
            }
            Some(Value::SyncDaemon(daemon)) => self.interface(setting.span, &daemon.interface),
            Some(Value::Script(script)) => {
                self.scripts = true;
                self.script(setting.span, script);
                // A `user` line of the block counts before that of the command.
                if block.setting("user").is_none()
                    && let Some(user) = &script.user
                {
                    self.user(setting.span, user);
                }
            }
            Some(Value::User(user)) => self.user(setting.span, user),
            Some(Value::Fifo(_, Some(user))) => self.user(setting.span, user),
            _ => {}
        }
    }

    fn perhaps_interface(&mut self, span: Span, name: Option<&str>) {
        if let Some(name) = name {
            self.interface(span, name);
        }
    }

    fn interface(&mut self, span: Span, name: &str) {
        let dynamic = &self.analysis.config.vrrp.globals.dynamic_interfaces;
        // Made by ourselves when an instance runs.
        let own = self.analysis.config.vrrp.instances.iter().any(|instance| {
            let made = instance.virtual_interface.as_ref();
            made.is_some_and(|made| made.name.as_deref() == Some(name))
        });
        if *dynamic != DynamicInterfaces::No || own || self.machine.has_interface(name) {
            return;
        }
        let message = format!("this machine has no interface `{name}`");
        let help = "keepalived does not start without it, unless `dynamic_interfaces` is set";
        self.error(Code::NoSuchInterface, span, name, message, help);
    }

    fn user(&mut self, span: Span, user: &ScriptUser) {
        if !self.machine.has_user(&user.user) {
            let message = format!("this machine has no user `{}`", user.user);
            let help = "scripts that are to run as this user are dropped";
            self.error(Code::NoSuchUser, span, &user.user, message, help);
        }
        if let Some(group) = user
            .group
            .as_ref()
            .filter(|group| !self.machine.has_group(group))
        {
            let message = format!("this machine has no group `{group}`");
            let help = "scripts that are to run in this group are dropped";
            self.error(Code::NoSuchUser, span, &format!(":{group}"), message, help);
        }
    }

    fn script(&mut self, span: Span, script: &Script) {
        let Some(program) = script.argv.first() else {
            return;
        };
        let dropped = "it is not run: what it was to notice or to tell is lost";
        let path = match program.starts_with('/') {
            true => PathBuf::from(program),
            false => match self.machine.find_program(program) {
                Some(path) => path,
                None => {
                    let message = format!("the program `{program}` is not found");
                    self.error(Code::ScriptMissing, span, program, message, dropped);
                    return;
                }
            },
        };
        let Some(facts) = self.machine.file(&path) else {
            let message = format!("the script `{program}` does not exist");
            self.error(Code::ScriptMissing, span, program, message, dropped);
            return;
        };
        if !facts.executable {
            let message = format!("the script `{program}` is not executable");
            let help = "`chmod +x` makes it so; until then it is not run";
            self.error(Code::ScriptNotExecutable, span, program, message, help);
        } else if !facts.only_root_writes {
            let message = format!("others than root can change the script `{program}`");
            let help = match self.analysis.config.globals.script_security {
                true => "with `enable_script_security` it is not run as root",
                false => "whoever can write it becomes root",
            };
            let place = self.analysis.sources.place(span);
            let found = Diagnostic::warning(Code::ScriptUnsafe, place, message).help(help);
            self.push(found, program);
        }
    }

    /// Script security needs a user to run scripts as.
    fn security(&mut self) {
        let globals = &self.analysis.config.globals;
        if !self.scripts {
            return;
        }
        let mut blocks = self.analysis.ast.children(BlockKind::GlobalDefs);
        let head = blocks.next().map_or_else(Span::default, |block| block.head);
        let user = globals.script_user.is_some() || self.machine.has_user("keepalived_script");
        if globals.script_security && !user {
            let message = "there is no user `keepalived_script`, and no `script_user` says who \
                           runs scripts"
                .to_owned();
            let help = "scripts without a user of their own are dropped";
            self.error(Code::NoSuchUser, head, "keepalived_script", message, help);
        }
    }

    /// NAT needs a machine that forwards.
    fn forwarding(&mut self) {
        let services = &self.analysis.config.services;
        let mut masq = services.iter().filter(|service| {
            let mut servers = service.real_servers.iter();
            servers.any(|server| server.method == ForwardMethod::Masq)
        });
        let off = self.machine.sysctl("net.ipv4.ip_forward").as_deref() == Some("0");
        if let Some(service) = masq.next().filter(|_| off) {
            let mut blocks = self.analysis.ast.children(BlockKind::VirtualServer);
            let head = blocks.next().map_or_else(Span::default, |block| block.head);
            let place = self.analysis.sources.place(head);
            let message = format!("{} uses NAT, and this machine does not forward", service.id);
            let help = "set the sysctl net.ipv4.ip_forward to 1";
            let found = Diagnostic::warning(Code::ForwardingOff, place, message).help(help);
            self.push(found, "");
        }
    }
}
