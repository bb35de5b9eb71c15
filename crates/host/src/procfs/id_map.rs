//! Users and groups of a user namespace, from `/proc/PID/uid_map` and `gid_map` (user_namespaces(7)).

/// The number by which `id` is known in the namespace whose map this is, if it is that namespace's root user: then 0, and
/// otherwise `id` itself. config.json has the machine's numbers; low-level runtimes run a createContainer hook in the
/// container's own namespaces, where the container's root user is 0.
pub fn seen_through(map: &str, id: u32) -> u32 {
    let root = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        (numbers.next()?.ok()? == 0).then(|| numbers.next()?.ok())?
    });
    if root == Some(id) { 0 } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_root_user_is_0_in_its_own_namespace() {
        for (id, map, want) in [
            (0, "         0          0 4294967295\n", 0),
            (100_000, "         0          0 4294967295\n", 100_000),
            (100_000, "         0     100000      65536\n", 0),
            (0, "         0       1000          1\n         1     100000      65536\n", 0),
            (5, "         1          5          1\n", 5),
            (5, "", 5),
        ] {
            assert_eq!(seen_through(map, id), want, "{id} {map}");
        }
    }
}
