//! The files of `manifests/`: definitions against the types that they are made from, and network
//! policies against what they are to allow.

#[cfg(test)]
mod network;

#[cfg(test)]
mod definitions {
    use std::path::Path;

    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    #[test]
    fn definitions_are_up_to_date() {
        check("crds", relay_model::v1beta1::definitions());
        check("triggers", relay_model::triggers::definitions());
    }

    fn check(folder: &str, definitions: Vec<CustomResourceDefinition>) {
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
        let folder = manifests.join(folder);
        for definition in definitions {
            let name = definition.metadata.name.clone().unwrap();
            let file = folder.join(format!("{name}.yaml"));
            let text = relay_model::definitions::to_yaml(&[definition]).unwrap();
            if std::env::var_os("UPDATE_MANIFESTS").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(found, text, "run this test with UPDATE_MANIFESTS=1");
        }
    }
}
