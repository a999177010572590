::core::compile_error! {
    "unknown storage `flta` (did you mean `flat`?): `flat` is one leaf per field, `map` one value per record"
}
::core::compile_error! {
    "`Link` has no prefix: say where its records lie, `#[dust(prefix = \"links\")]`"
}
::core::compile_error! {
    "a slug is always required: remove `required`"
}
::core::compile_error! {
    "`title` and `TITLE` have the same handle, `TITLE`: rename one, and keep its name with `#[serde(rename = \"..\")]`"
}
#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for Link
    where
        for<'__dust> Link: __d::FieldValue + ::core::marker::Send + ::core::marker::Sync
            + 'static,
    {
        const NAME: &'static ::core::primitive::str = "";
        const PREFIX: &'static [&'static ::core::primitive::str] = &[];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            ""
        }
    }
    #[automatically_derived]
    impl __d::Primary for Link
    where
        for<'__dust> Link: __d::Schema,
    {}
    #[automatically_derived]
    impl Link {
        /// The field `slug`.
        pub const SLUG: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `title`.
        pub const TITLE: __d::Field<Self, String> = __d::Field::at(1);
    }
};
