//! Read views: the parts of a document that decisions depend on, decoded on demand.
//!
//! An absent or `null` part reads as empty. A part of the wrong type is an error that names it; unknown members are passed
//! over.

use super::{At, Document, DocumentError, first};
use crate::spec::{Device, DeviceRule, Hook, HookPoint, IdMapping, IdMappings, Mount, Namespace, Root, User};
use crate::tree::{Members, parse_items};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

impl Document {
    /// `ociVersion`.
    ///
    /// # Errors
    /// [`DocumentError::WrongType`], here and in all the views below.
    pub fn oci_version(&self) -> Result<Option<String>, DocumentError> {
        self.decode(&["ociVersion"], "a string")
    }

    /// Whether there is a `process`, be it empty.
    pub fn has_process(&self) -> Result<bool, DocumentError> {
        Ok(self.text_at(&["process"])?.is_some())
    }

    /// `process.env`, in order and as it stands: entries without `=` too, which are nobody's variable and no fault
    /// (runtime-and-hook.md Q11).
    pub fn env(&self) -> Result<Vec<String>, DocumentError> {
        self.items(&["process", "env"], |at, text| decode(at, text, "a string"))
    }

    /// `annotations`. Of several with the same key the last counts.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, DocumentError> {
        let path = &["annotations"];
        let Some(text) = self.text_at(path)? else { return Ok(BTreeMap::new()) };
        let part = Part::parse(At::path(path), &text)?;
        part.members.named().map(|(key, value)| Ok((key, decode(part.at, value, "an object of strings")?))).collect()
    }

    /// `mounts`, in order.
    pub fn mounts(&self) -> Result<Vec<Mount>, DocumentError> {
        self.parts(&["mounts"], |part| {
            Ok(Mount {
                destination: part.string("destination")?.unwrap_or_default(),
                kind: part.string("type")?,
                source: part.string("source")?,
                options: part.strings("options")?,
            })
        })
    }

    /// `root`; `None` if there is none.
    pub fn root(&self) -> Result<Option<Root>, DocumentError> {
        self.part(&["root"], |part| {
            Ok(Root {
                path: part.string("path")?.unwrap_or_default(),
                readonly: part.get("readonly", "a boolean")?.unwrap_or_default(),
            })
        })
    }

    /// `process.capabilities.bounding`; or the whole list, where capabilities are a flat array as they were before
    /// runtime-spec 1.0.0-rc5.
    pub fn bounding_capabilities(&self) -> Result<Vec<String>, DocumentError> {
        let flat = ["process", "capabilities"];
        let is_flat = self.text_at(&flat)?.is_some_and(|text| text.starts_with('['));
        let bounding = ["process", "capabilities", "bounding"];
        self.items(if is_flat { &flat } else { &bounding }, |at, text| decode(at, text, "a string"))
    }

    /// `process.user`; root if there is none.
    pub fn process_user(&self) -> Result<User, DocumentError> {
        let user = self.part(&["process", "user"], |part| {
            Ok(User {
                uid: part.id("uid")?.unwrap_or_default(),
                gid: part.id("gid")?.unwrap_or_default(),
                additional_gids: part.list("additionalGids", UNSIGNED_32)?,
            })
        })?;
        Ok(user.unwrap_or_default())
    }

    /// `linux.uidMappings` and `linux.gidMappings`.
    pub fn id_mappings(&self) -> Result<IdMappings, DocumentError> {
        let mapping = |part: &Part<'_>| {
            Ok(IdMapping {
                container_id: part.id("containerID")?.unwrap_or_default(),
                host_id: part.id("hostID")?.unwrap_or_default(),
                size: part.id("size")?.unwrap_or_default(),
            })
        };
        Ok(IdMappings {
            uids: self.parts(&["linux", "uidMappings"], mapping)?,
            gids: self.parts(&["linux", "gidMappings"], mapping)?,
        })
    }

    /// `linux.namespaces`.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, DocumentError> {
        self.parts(&["linux", "namespaces"], |part| {
            Ok(Namespace { kind: part.string("type")?.unwrap_or_default(), path: part.string("path")? })
        })
    }

    /// Whether the container has a namespace of that kind (`user`, `mount` …) of its own or joins one.
    pub fn has_namespace(&self, kind: &str) -> Result<bool, DocumentError> {
        Ok(self.namespaces()?.iter().any(|namespace| namespace.kind == kind))
    }

    /// `linux.devices`.
    pub fn devices(&self) -> Result<Vec<Device>, DocumentError> {
        self.parts(&["linux", "devices"], |part| {
            Ok(Device {
                path: part.string("path")?.unwrap_or_default(),
                kind: part.string("type")?.unwrap_or_default(),
                major: part.signed("major")?.unwrap_or_default(),
                minor: part.signed("minor")?.unwrap_or_default(),
                file_mode: part.id("fileMode")?,
                uid: part.id("uid")?,
                gid: part.id("gid")?,
            })
        })
    }

    /// `linux.resources.devices`, in order.
    pub fn device_rules(&self) -> Result<Vec<DeviceRule>, DocumentError> {
        self.parts(&["linux", "resources", "devices"], |part| {
            Ok(DeviceRule {
                allow: part.get("allow", "a boolean")?.unwrap_or_default(),
                kind: part.string("type")?,
                major: part.signed("major")?,
                minor: part.signed("minor")?,
                access: part.string("access")?,
            })
        })
    }

    /// The hooks of that list, in order.
    pub fn hooks(&self, point: HookPoint) -> Result<Vec<Hook>, DocumentError> {
        self.parts(&["hooks", point.name()], |part| {
            Ok(Hook {
                path: part.string("path")?.unwrap_or_default(),
                args: part.strings("args")?,
                env: part.strings("env")?,
                timeout: part.signed("timeout")?,
            })
        })
    }

    fn decode<T: DeserializeOwned>(&self, path: &[&str], expected: &'static str) -> Result<Option<T>, DocumentError> {
        self.text_at(path)?.map(|text| decode(At::path(path), &text, expected)).transpose()
    }

    /// The object at that path.
    fn part<T>(
        &self,
        path: &[&str],
        read: impl Fn(&Part<'_>) -> Result<T, DocumentError>,
    ) -> Result<Option<T>, DocumentError> {
        self.text_at(path)?.map(|text| read(&Part::parse(At::path(path), &text)?)).transpose()
    }

    /// The objects in the array at that path.
    fn parts<T>(
        &self,
        path: &[&str],
        read: impl Fn(&Part<'_>) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        self.items(path, |at, text| read(&Part::parse(at, text)?))
    }

    /// The items of the array at that path.
    fn items<T>(
        &self,
        path: &[&str],
        read: impl Fn(At<'_>, &str) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        match self.text_at(path)? {
            Some(text) => items(At::path(path), &text, read),
            None => Ok(Vec::new()),
        }
    }
}

const UNSIGNED_32: &str = "an unsigned 32-bit integer";
const SIGNED_64: &str = "a 64-bit integer";

/// An object that is being read.
struct Part<'a> {
    at: At<'a>,
    members: Members<'a>,
}

impl<'a> Part<'a> {
    fn parse(at: At<'a>, text: &'a str) -> Result<Self, DocumentError> {
        let members = Members::parse(text).ok_or_else(|| at.wrong("an object", first(text)))?;
        Ok(Part { at, members })
    }

    fn get<T: DeserializeOwned>(&self, name: &str, expected: &'static str) -> Result<Option<T>, DocumentError> {
        let value = self.members.get(name).filter(|text| *text != "null");
        value.map(|text| decode(self.at.member(name), text, expected)).transpose()
    }

    fn string(&self, name: &str) -> Result<Option<String>, DocumentError> {
        self.get(name, "a string")
    }

    fn id(&self, name: &str) -> Result<Option<u32>, DocumentError> {
        self.get(name, UNSIGNED_32)
    }

    fn signed(&self, name: &str) -> Result<Option<i64>, DocumentError> {
        self.get(name, SIGNED_64)
    }

    fn strings(&self, name: &str) -> Result<Vec<String>, DocumentError> {
        self.list(name, "a string")
    }

    fn list<T: DeserializeOwned>(&self, name: &str, expected: &'static str) -> Result<Vec<T>, DocumentError> {
        match self.members.get(name) {
            None | Some("null") => Ok(Vec::new()),
            Some(text) => items(self.at.member(name), text, |at, item| decode(at, item, expected)),
        }
    }
}

fn items<T>(
    at: At<'_>,
    text: &str,
    read: impl Fn(At<'_>, &str) -> Result<T, DocumentError>,
) -> Result<Vec<T>, DocumentError> {
    let items = parse_items(text).ok_or_else(|| at.wrong("an array", first(text)))?;
    items.iter().enumerate().map(|(index, item)| read(at.item(index), item.get())).collect()
}

fn decode<T: DeserializeOwned>(at: At<'_>, text: &str, expected: &'static str) -> Result<T, DocumentError> {
    serde_json::from_str(text).map_err(|_| at.wrong(expected, first(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_empty_document_reads_as_empty() {
        for text in ["{}", r#"{"process":null,"linux":null,"hooks":null,"mounts":null,"root":null}"#] {
            let document = parse(text);
            assert_eq!(document.oci_version().unwrap(), None);
            assert!(document.env().unwrap().is_empty() && document.mounts().unwrap().is_empty());
            assert_eq!(document.root().unwrap(), None);
            assert!(!document.has_process().unwrap() && parse(r#"{"process":{}}"#).has_process().unwrap());
            assert_eq!(document.process_user().unwrap(), User::default());
            assert_eq!(document.id_mappings().unwrap().root_owner(), Some((0, 0)));
            assert!(!document.has_namespace("user").unwrap());
            assert!(document.hooks(HookPoint::Prestart).unwrap().is_empty());
        }
    }

    #[test]
    fn reads_what_decisions_need() {
        let document = parse(
            r#"{"ociVersion":"1.2.0","process":{"user":{"uid":1000,"gid":7,"additionalGids":[4,5]},
            "env":["A=1","FLAG","B=x=y"],"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_FUTURE"]}},
            "root":{"path":"rootfs","readonly":true},"annotations":{"b":"2","a":"1"},
            "mounts":[{"destination":"/x","source":"/dev/null","options":["ro"],"future":1}],
            "linux":{"uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],
            "gidMappings":[{"containerID":0,"hostID":200000,"size":65536}],
            "namespaces":[{"type":"user"},{"type":"network","path":"/run/ns"}],
            "devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438}],
            "resources":{"devices":[{"allow":false,"access":"rwm"}]}},
            "hooks":{"prestart":[{"path":"/h","args":["h","go"],"timeout":5}]}}"#,
        );
        assert_eq!(document.oci_version().unwrap().as_deref(), Some("1.2.0"));
        assert_eq!(document.env().unwrap(), ["A=1", "FLAG", "B=x=y"]);
        assert_eq!(document.bounding_capabilities().unwrap(), ["CAP_SYS_ADMIN", "CAP_FUTURE"]);
        assert_eq!(document.process_user().unwrap(), User { uid: 1000, gid: 7, additional_gids: vec![4, 5] });
        assert_eq!(document.root().unwrap(), Some(Root { path: "rootfs".into(), readonly: true }));
        assert_eq!(document.annotations().unwrap().into_values().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(document.mounts().unwrap()[0].source.as_deref(), Some("/dev/null"));
        assert_eq!(document.id_mappings().unwrap().root_owner(), Some((100_000, 200_000)));
        assert!(document.has_namespace("network").unwrap() && !document.has_namespace("mount").unwrap());
        assert_eq!(document.devices().unwrap()[0].file_mode, Some(0o666));
        assert_eq!(document.device_rules().unwrap()[0].major, None);
        assert_eq!(document.hooks(HookPoint::Prestart).unwrap()[0].timeout, Some(5));
    }

    #[test]
    fn flat_capabilities_are_the_bounding_set() {
        let document = parse(r#"{"ociVersion":"1.0.0-rc3","process":{"capabilities":["CAP_SYS_ADMIN"]}}"#);
        assert_eq!(document.bounding_capabilities().unwrap(), ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn errors_name_the_part() {
        let document = parse(
            r#"{"process":{"env":["A=1",7],"user":{"uid":-1}},"mounts":[{},{"options":["ro",{}]}],"hooks":[],
            "annotations":{"a":1},"linux":{"uidMappings":{}}}"#,
        );
        let message = |error: DocumentError| error.to_string();
        assert_eq!(message(document.env().unwrap_err()), "process.env[1] is a number, not a string");
        assert_eq!(
            message(document.process_user().unwrap_err()),
            "process.user.uid is a number, not an unsigned 32-bit integer"
        );
        assert_eq!(message(document.mounts().unwrap_err()), "mounts[1].options[1] is an object, not a string");
        assert_eq!(message(document.hooks(HookPoint::Poststop).unwrap_err()), "hooks is an array, not an object");
        assert_eq!(message(document.annotations().unwrap_err()), "annotations is a number, not an object of strings");
        assert_eq!(message(document.id_mappings().unwrap_err()), "linux.uidMappings is an object, not an array");
    }
}
