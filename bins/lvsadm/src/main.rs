//! The program; see the library of this package.

fn main() -> std::process::ExitCode {
    lvsadm::main()
}
