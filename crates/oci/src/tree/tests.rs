//! Opening, adding and removing, each with the text that comes of it.

use super::*;

fn open(text: &str, shape: Shape) -> (Arena, Container) {
    let arena = Arena::new(text.to_owned());
    let container = Container::parse(&arena, Span { start: 0, end: text.len() }, shape).unwrap();
    (arena, container)
}

fn written(arena: &Arena, container: &Container) -> String {
    let mut out = String::new();
    container.write(arena, &mut out);
    out
}

#[test]
fn opening_keeps_every_byte() {
    for text in ["{}", "{ \n}", r#"{ "a" :1e9 , "b\u0020c": [ 1 , 2 ]  }"#, r#"{"a":1,"a":2}"#] {
        let (arena, container) = open(text, Shape::Object);
        assert_eq!(written(&arena, &container), text);
    }
    for text in ["[]", "[ ]", "[ 1 ,\t{\"a\": \",]\"} ]"] {
        let (arena, container) = open(text, Shape::Array);
        assert_eq!(written(&arena, &container), text);
    }
}

#[test]
fn new_entries_are_spaced_like_their_neighbours() {
    let table = [
        ("{}", r#"{"x":1}"#),
        ("{ }", r#"{ "x":1}"#),
        (r#"{"a":0}"#, r#"{"a":0,"x":1}"#),
        ("{\n  \"a\": 0\n}", "{\n  \"a\": 0,\n  \"x\": 1\n}"),
    ];
    for (text, want) in table {
        let (mut arena, mut container) = open(text, Shape::Object);
        container.push(&mut arena, Some("x"), "1");
        assert_eq!(written(&arena, &container), want);
        assert_eq!(container.position(&arena, "x"), Some(container.len() - 1));
    }
}

#[test]
fn removing_leaves_the_bracket_where_it_was() {
    let table =
        [("[\n 1,\n 2\n]", 1, "[\n 1\n]"), ("[\n 1,\n 2\n]", 0, "[\n 2\n]"), ("[ 1 ]", 0, "[]"), ("[1,2]", 0, "[2]")];
    for (text, index, want) in table {
        let (arena, mut container) = open(text, Shape::Array);
        container.remove(index);
        assert_eq!(written(&arena, &container), want);
    }
}

#[test]
fn names_match_exactly_first() {
    let table = [
        (r#"{"env":1,"ENV":2}"#, Some("1")),
        (r#"{"Env":1,"ENV":2}"#, Some("2")),
        (r#"{"env":1,"env":2}"#, Some("2")),
        (r#"{"\u0065nv":1}"#, Some("1")),
        (r#"{"environment":1,"\ud800":2}"#, None),
    ];
    for (text, want) in table {
        assert_eq!(Members::parse(text).unwrap().get("env"), want, "{text}");
    }
}
