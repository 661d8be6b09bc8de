use super::*;

fn formatted(text: &str) -> String {
    let once = format(text).unwrap();
    assert_eq!(format(&once).unwrap(), once, "from {text:?}");
    once
}

#[test]
fn blocks_words_and_empty_lines_have_one_form() {
    let text = "\n\nglobal_defs\n{\n\n\trouter_id    a\n\n\n  vrrp_strict }\n\n\n\nx {y\nz}\n\n";
    let wanted = "global_defs {\n    router_id a\n\n    vrrp_strict\n}\n\nx {\n    y\n    z\n}\n";
    assert_eq!(formatted(text), wanted);
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\r\n\r\n"), "");
}

#[test]
fn comments_stay_where_they_are_and_line_up() {
    let text =
        "# head\na { # of a\n# in a\nlong_word 5 # x\n  b 1# y\n  c # z\n }# end\nd {} # d\n";
    let wanted = "\
# head
a { # of a
    # in a
    long_word 5 # x
    b 1# y
    c # z
} # end
d {
} # d
";
    assert_eq!(formatted(text), wanted);
    let text = "a   # x\nbcd # y\n";
    assert_eq!(formatted(text), text);
}

#[test]
fn a_brace_is_joined_only_to_the_statement_right_before_it() {
    assert_eq!(formatted("a b\n\n{\n}\n"), "a b\n\n{\n}\n");
    assert_eq!(formatted("a # c\n{\n}\n"), "a # c\n{\n}\n");
    assert_eq!(formatted("$A\n{\n}\n"), "$A\n{\n}\n");
    assert_eq!(formatted("a\n{ b\n}\n"), "a {\n    b\n}\n");
}

#[test]
fn what_a_line_means_by_its_bytes_is_kept() {
    for line in [
        "notify_up '/x  y'  u",
        "notify_up /x\\  y",
        "$A=x   y",
        "x  $A   y",
        "@id   weight  5",
        "~SEQ(i,1,  3)  a  $i { b }",
        "include   a*.conf",
        "router_id \"open   {",
        "a { include x }",
        "a { @b  c }",
        "}   include x",
    ] {
        let around = format!("p {{\n    {line}\n");
        let balanced = match line.starts_with('}') {
            true => around,
            false => format!("{around}}}\n"),
        };
        let wanted = match line.starts_with('}') {
            true => balanced.replace("    }", "}"),
            false => balanced.clone(),
        };
        assert_eq!(formatted(&balanced), wanted);
    }
}

#[test]
fn a_definition_keeps_its_lines() {
    let text = "  $A=  x {   \\\n     y   \\\n\t} # end\nb   c\n$A\n";
    assert_eq!(
        formatted(text),
        "$A=  x {   \\\n     y   \\\n\t} # end\nb c\n$A\n"
    );
}

#[test]
fn alternatives_do_not_add_up() {
    let text = "@a x 1 {\n@b x 2 {\n@^a y\nz\n}\nu {\n@a v {\n@a w\n@a }\n}\n";
    let wanted = "\
@a x 1 {
@b x 2 {
    @^a y
    z
}
u {
    @a v {
        @a w
    @a }
}
";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn braces_that_do_not_match_are_refused_with_their_line() {
    let refused = |text| format(text).unwrap_err();
    assert_eq!(
        refused("a {\nb {\n}\n"),
        FormatError::Unbalanced { line: 2 }
    );
    assert_eq!(refused("a {\n}\n}\n"), FormatError::Unbalanced { line: 3 });
    // The definition may hold what is missing.
    assert_eq!(
        formatted("$OPEN\n}\na { b }\n"),
        "$OPEN\n}\na {\n    b\n}\n"
    );
}

#[test]
fn lines_that_are_too_long_stay_too_long_and_others_do_not_become_it() {
    let long = format!("   a {}  ", "x".repeat(1_020));
    assert_eq!(formatted(&long), format!("{long}\n"));
    let nearly = format!("a {{\n{}\n}}\n", "x".repeat(1_022));
    let text = formatted(&nearly);
    assert_eq!(text.lines().map(str::len).max(), Some(1_023));
}
