-- What the audit asks the catalogs. `:user` leaves out the server's own schemas, `:grantee` is
-- a grantee's name. Sources: PostgreSQL documentation, "System Catalogs" and "Privileges".

-- name: roles
select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
    rolcanlogin, rolinherit
from pg_roles

-- name: relations
select n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
    c.reltuples::bigint, coalesce(pg_relation_size(c.oid), 0),
    array(
        select distinct sn.nspname || '.' || s.relname
        from pg_depend d
        join pg_class s on s.oid = d.objid and s.relkind = 'S'
        join pg_namespace sn on sn.oid = s.relnamespace
        where d.refobjid = c.oid and d.deptype = 'a' and d.classid = 'pg_class'::regclass
    )
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and :user

-- name: relation_grants
select 'relation', n.nspname, c.relname, :grantee, a.privilege_type, a.is_grantable
from pg_class c
join pg_namespace n on n.oid = c.relnamespace,
aclexplode(c.relacl) a
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and :user and a.grantee <> c.relowner
union all
select distinct 'column', n.nspname, c.relname, :grantee, a.privilege_type, a.is_grantable
from pg_attribute t
join pg_class c on c.oid = t.attrelid
join pg_namespace n on n.oid = c.relnamespace,
aclexplode(t.attacl) a
where t.attacl is not null and :user

-- name: functions
select n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
    pg_get_userbyid(p.proowner), p.prosecdef,
    coalesce(
        (select substr(s, 13) from unnest(p.proconfig) s where starts_with(s, 'search_path=')), ''
    ),
    l.lanname, l.lanpltrusted or l.lanname in ('internal', 'c', 'sql')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_language l on l.oid = p.prolang
where (:user) or p.proname = any($1::text[])

-- name: function_grants
select n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), :grantee, a.is_grantable
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace,
aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where ((:user) or p.proname = any($1::text[])) and a.privilege_type = 'EXECUTE'

-- name: other_grants
select 'schema', n.nspname, :grantee, a.privilege_type, a.is_grantable
from pg_namespace n, aclexplode(n.nspacl) a
where :user and a.grantee <> n.nspowner
union all
select 'database', d.datname, :grantee, a.privilege_type, a.is_grantable
from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
where d.datname = current_database() and a.grantee <> d.datdba
union all
select 'language', l.lanname, :grantee, a.privilege_type, a.is_grantable
from pg_language l, aclexplode(l.lanacl) a
where not l.lanpltrusted and l.lanname not in ('internal', 'c') and a.grantee <> l.lanowner
union all
select 'server', s.srvname, :grantee, a.privilege_type, a.is_grantable
from pg_foreign_server s, aclexplode(s.srvacl) a
where a.grantee <> s.srvowner
union all
select 'default',
    coalesce(n.nspname, 'every schema') || ', made by ' || pg_get_userbyid(f.defaclrole),
    :grantee, a.privilege_type, a.is_grantable
from pg_default_acl f
left join pg_namespace n on n.oid = f.defaclnamespace,
aclexplode(f.defaclacl) a
where f.defaclobjtype = 'r' and a.grantee <> f.defaclrole

-- name: parameters
select 'parameter', p.parname, :grantee, a.privilege_type, a.is_grantable
from pg_parameter_acl p, aclexplode(p.paracl) a
where a.grantee <> 10

-- name: members_since_16
select pg_get_userbyid(roleid), pg_get_userbyid(member), admin_option, inherit_option, set_option
from pg_auth_members

-- name: members_before_16
select pg_get_userbyid(roleid), pg_get_userbyid(member), admin_option, null::bool, true
from pg_auth_members

-- name: schemas
select n.nspname, pg_get_userbyid(n.nspowner) from pg_namespace n where :user

-- name: databases
select datname, pg_get_userbyid(datdba) from pg_database where not datistemplate

-- name: extensions
select extname from pg_extension

-- name: event_triggers
select evtname, pg_get_userbyid(evtowner), evtenabled::text from pg_event_trigger

-- name: statements
select distinct s.query
from pg_stat_statements s
join pg_roles r on r.oid = s.userid
where r.rolname = $1
    and s.dbid = (select oid from pg_database where datname = current_database())
limit $2
