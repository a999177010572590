#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for User {
        const NAME: &'static ::core::primitive::str = "User";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["users"];
        const STORAGE: __d::Storage = __d::Storage::Map;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("id"),
            __d::FieldDef::new::<String>("name"),
            __d::FieldDef::new::<String>("department"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.id)
        }
    }
    #[automatically_derived]
    impl __d::Primary for User
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl __d::Indexed for User {
        const INDEXES: &'static [__d::IndexDef] = &[
            __d::IndexDef::new(&[2]),
            __d::IndexDef::new(&[2, 1]),
        ];
    }
    #[automatically_derived]
    impl User {
        /// The field `id`.
        pub const ID: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `name`.
        pub const NAME: __d::Field<Self, String> = __d::Field::at(1);
        /// The field `department`.
        pub const DEPARTMENT: __d::Field<Self, String> = __d::Field::at(2);
    }
};
