<?php
// As much of WordPress as the guide's plugin calls: its hooks, and posts in a file. For `php -S 127.0.0.1:PORT wordpress.php`.
// Hooks are given what WordPress gives them, in its order.

class WP_Post {
    public $ID, $post_title, $post_status, $post_type = 'post';
}

class WP_Error {
    private $message;
    public function __construct( $message ) {
        $this->message = $message;
    }
    public function get_error_message() {
        return $this->message;
    }
}

$hooks = array();
$store = __DIR__ . '/store.json';
$state = is_file( $store ) ? json_decode( file_get_contents( $store ), true ) : array( 'posts' => array(), 'cron' => array(), 'rendered' => 0 );
$shown = null;

function add_action( $hook, $callback, $priority = 10, $arguments = 1 ) {
    $GLOBALS['hooks'][ $hook ][ $priority ][] = array( $callback, $arguments );
}

function do_action( $hook, ...$given ) {
    $callbacks = $GLOBALS['hooks'][ $hook ] ?? array();
    ksort( $callbacks );
    foreach ( array_merge( ...array_values( $callbacks ) ) as list( $callback, $arguments ) ) {
        $callback( ...array_slice( $given, 0, $arguments ) );
    }
}

function post( $id ) {
    $record = $GLOBALS['state']['posts'][ $id ] ?? null;
    if ( ! $record ) {
        return null;
    }
    $post = new WP_Post();
    list( $post->ID, $post->post_title, $post->post_status ) = array( (int) $id, $record['title'], $record['status'] );
    return $post;
}

function is_user_logged_in() {
    return false;
}
function is_singular() {
    return 'post' === $GLOBALS['shown'];
}
function is_category() {
    return 'category' === $GLOBALS['shown'];
}
function is_tag() {
    return false;
}
function is_tax() {
    return false;
}
function get_queried_object() {
    return (object) array( 'term_taxonomy_id' => $GLOBALS['term'] );
}
function get_post_type_object( $type ) {
    return (object) array( 'public' => true );
}
function wp_is_post_revision( $id ) {
    return false;
}
function get_post_status( $id ) {
    return post( $id )->post_status;
}
function wp_json_encode( $value ) {
    return json_encode( $value );
}
function wp_generate_uuid4() {
    $hex = bin2hex( random_bytes( 16 ) );
    return preg_replace( '/^(.{8})(.{4}).(.{3})..(.{2})(.{12})$/', '$1-$2-4$3-80$4-$5', $hex );
}
function wp_schedule_single_event( $time, $hook, $arguments ) {
    $GLOBALS['state']['cron'][] = array( $hook, $arguments );
    return true;
}
function wp_clear_scheduled_hook( $hook, $arguments ) {
    $other = function ( $event ) use ( $hook, $arguments ) {
        return $event !== array( $hook, $arguments );
    };
    $GLOBALS['state']['cron'] = array_values( array_filter( $GLOBALS['state']['cron'], $other ) );
}
function is_wp_error( $thing ) {
    return $thing instanceof WP_Error;
}
function wp_remote_post( $url, $how ) {
    $lines = array();
    foreach ( $how['headers'] as $name => $value ) {
        $lines[] = "$name: $value";
    }
    $http = array( 'method' => 'POST', 'header' => $lines, 'content' => $how['body'], 'timeout' => $how['timeout'], 'ignore_errors' => true );
    $body = @file_get_contents( $url, false, stream_context_create( array( 'http' => $http ) ) );
    if ( false === $body ) {
        return new WP_Error( 'no answer' );
    }
    return array( 'body' => $body, 'status' => (int) explode( ' ', $http_response_header[0] )[1] );
}
function wp_remote_retrieve_response_code( $answer ) {
    return is_wp_error( $answer ) ? '' : $answer['status'];
}
function wp_remote_retrieve_body( $answer ) {
    return is_wp_error( $answer ) ? '' : $answer['body'];
}

require __DIR__ . '/wp-config-purgebus.php';
require __DIR__ . '/wp-content/mu-plugins/purgebus.php';

/** What an editor, a reader who comments, or the system's cron does. */
function act( $action, $wish ) {
    $state = &$GLOBALS['state'];
    $id = $wish['id'] ?? 0;
    if ( 'save' === $action ) {
        $old = post( $id );
        $kept = $state['posts'][ $id ] ?? array( 'terms' => array(), 'comments' => 0 );
        $state['posts'][ $id ] = array( 'title' => $wish['title'], 'status' => $wish['status'] ) + $kept;
        do_action( 'transition_post_status', $wish['status'], $old ? $old->post_status : 'new', post( $id ) );
        do_action( 'save_post', $id, post( $id ), null !== $old );
    } elseif ( 'terms' === $action ) {
        $old = $state['posts'][ $id ]['terms'];
        $state['posts'][ $id ]['terms'] = $wish['terms'];
        do_action( 'set_object_terms', $id, $wish['terms'], $wish['terms'], 'category', false, $old );
    } elseif ( 'comment' === $action ) {
        $state['posts'][ $id ]['comments'] += $wish['approved'] ? 1 : 0;
        do_action( 'comment_post', 12, $wish['approved'] ? 1 : 0, array( 'comment_post_ID' => $id ) );
    } elseif ( 'spam' === $action ) {
        $state['posts'][ $id ]['comments'] -= 1;
        do_action( 'transition_comment_status', 'spam', 'approved', (object) array( 'comment_post_ID' => $id ) );
    } elseif ( 'delete' === $action ) {
        do_action( 'before_delete_post', $id, post( $id ) );
        unset( $state['posts'][ $id ] );
    } elseif ( 'theme' === $action ) {
        $state['theme'] = $wish['name'];
        do_action( 'switch_theme', $wish['name'] );
    } elseif ( 'cron' === $action ) {
        $due = $state['cron'];
        $state['cron'] = array();
        foreach ( $due as list( $hook, $arguments ) ) {
            do_action( $hook, ...$arguments );
        }
    }
}

function render( $path ) {
    $state = &$GLOBALS['state'];
    list( , $GLOBALS['shown'], $which ) = explode( '/', "$path//" );
    $GLOBALS['term'] = (int) $which;
    $posts = array();
    foreach ( $state['posts'] as $id => $record ) {
        $here = array( 'post' => $id === (int) $which, 'category' => in_array( (int) $which, $record['terms'], true ) );
        if ( 'publish' === $record['status'] && ( $here[ $GLOBALS['shown'] ] ?? true ) ) {
            $posts[] = post( $id );
        }
    }
    $GLOBALS['wp_query'] = (object) array( 'posts' => $posts );
    header( 'Cache-Control: s-maxage=3600, max-age=0' );
    do_action( 'template_redirect' );
    $state['rendered'] += 1;
    echo "rendered {$state['rendered']}: ", $state['theme'] ?? 'plain', ':';
    foreach ( $posts as $post ) {
        echo " {$post->post_title} ({$state['posts'][ $post->ID ]['comments']})";
    }
}

$path = $_SERVER['REQUEST_URI'];
if ( 'POST' === $_SERVER['REQUEST_METHOD'] ) {
    act( substr( $path, 1 ), json_decode( file_get_contents( 'php://input' ), true ) );
    do_action( 'shutdown' );
    echo json_encode( array( 'waiting' => count( $state['cron'] ) ) );
} else {
    render( $path );
}
file_put_contents( $store, json_encode( $state ) );
