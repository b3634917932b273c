package example;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.DefaultOAuth2AuthorizationRequestResolver;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestCustomizers;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.util.HtmlUtils;

/**
 * A web application that signs its users in with Spring Security:
 *
 * <pre>
 * pico-auth client create --kind web --redirect-uri http://localhost:3000/login/oauth2/code/pico
 * CLIENT_ID=... CLIENT_SECRET=... mvn spring-boot:run
 * </pre>
 */
@SpringBootApplication
@RestController
public class Application {

	public static void main(String[] args) {
		SpringApplication.run(Application.class, args);
	}

	@GetMapping("/")
	String home(@AuthenticationPrincipal OidcUser user) {
		return "<!doctype html><title>spring-web</title><p>Hello %s</p><a href='/logout'>Sign out</a>"
			.formatted(HtmlUtils.htmlEscape(user.getEmail()));
	}

	/** Every page needs a user. A confidential client sends PKCE only when it is told to. */
	@Bean
	SecurityFilterChain security(HttpSecurity http, ClientRegistrationRepository clients) throws Exception {
		var requests = new DefaultOAuth2AuthorizationRequestResolver(clients, "/oauth2/authorization");
		requests.setAuthorizationRequestCustomizer(OAuth2AuthorizationRequestCustomizers.withPkce());
		var signedOut = new OidcClientInitiatedLogoutSuccessHandler(clients);
		signedOut.setPostLogoutRedirectUri("{baseUrl}/");
		return http
			.authorizeHttpRequests(paths -> paths.anyRequest().authenticated())
			.oauth2Login(login -> login.authorizationEndpoint(endpoint -> endpoint.authorizationRequestResolver(requests)))
			.logout(logout -> logout.logoutSuccessHandler(signedOut))
			.build();
	}
}
